package suggestion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/schemas"
	"github.com/bursarhq/bursar/services/suggestion/internal/book"
	"github.com/bursarhq/bursar/services/suggestion/internal/keep"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

const patience = 20 * time.Second

// site is a provisioned server with authorisation on. The service has the rights of its role, and no others.
type site struct {
	t      *testing.T
	server *natsembed.Server
	keys   *natsauth.Keys
	store  jetstream.JetStream // writes the ledger
	reader jetstream.JetStream // reads what comes of it

	schemas map[string]*jsonschema.Schema
}

func newSite(t *testing.T) *site {
	t.Helper()
	keys, err := natsauth.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	users, err := keys.Users()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, server: natstest.Start(t, natstest.Users(users)), keys: keys, schemas: compileSchemas(t)}
	sizes := provision.Defaults()
	sizes.LedgerMaxBytes, sizes.KeyframesMaxBytes, sizes.EventsMaxBytes = 64<<20, 64<<20, 64<<20
	if err := provision.Ensure(t.Context(), s.connect(natsauth.RoleProvisioning), sizes, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s.store, s.reader = s.connect(natsauth.RoleAllocatorStore), s.connect(natsauth.RoleReader)
	return s
}

// connection says how a role connects.
func (s *site) connection(role natsauth.Role) natsconn.Config {
	s.t.Helper()
	cfg, err := s.keys.Connection(natsauth.Service(role), natsconn.Config{InProcess: s.server})
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

func (s *site) connect(role natsauth.Role) jetstream.JetStream {
	s.t.Helper()
	nc, err := natsconn.Connect(s.t.Context(), s.connection(role))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// start runs the service until stop is called; stop waits for its end and returns its error.
func (s *site) start() (stop func() error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	log := slog.New(slog.DiscardHandler)
	watched := telemetry.New("suggestion", "test", log)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			NATS: s.connection(natsauth.RoleSuggestion), Telemetry: watched, Linger: 20 * time.Millisecond,
		}, log)
	}()
	s.await("the service is ready", func() error {
		select {
		case err := <-ended:
			s.t.Fatalf("the service ended: %v", err)
		default:
		}
		return watched.Ready(ctx)
	})
	return func() error {
		cancel()
		return <-ended
	}
}

// await waits until there is nothing to complain about.
func (s *site) await(what string, check func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// commit puts a commit into the ledger.
func (s *site) commit(workspace string, data []byte) {
	s.t.Helper()
	if _, err := s.store.Publish(s.t.Context(), wire.KeySubject(wire.BucketLedger, workspace), data); err != nil {
		s.t.Fatal(err)
	}
}

// awaitList waits for the list of a workspace as of a commit.
func (s *site) awaitList(workspace string, commit uint64) (list wire.SuggestionList) {
	s.t.Helper()
	kv, err := s.reader.KeyValue(s.t.Context(), wire.BucketSuggestions)
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := wire.SuggestionsKey(workspace)
	if err != nil {
		s.t.Fatal(err)
	}
	s.await(fmt.Sprintf("the list of %s as of commit %d", workspace, commit), func() error {
		entry, err := kv.Get(s.t.Context(), key)
		if err != nil {
			return err
		}
		list = wire.SuggestionList{}
		s.conforms("suggestions.value", entry.Value())
		if err := json.Unmarshal(entry.Value(), &list); err != nil {
			return err
		}
		if list.Commit < commit {
			return fmt.Errorf("it is as of commit %d", list.Commit)
		}
		return nil
	})
	return list
}

// conforms checks bytes against a schema of the wire.
func (s *site) conforms(name string, data []byte) {
	s.t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.schemas[name].Validate(value); err != nil {
		s.t.Errorf("not a %s: %v\n%s", name, err, data)
	}
}

// compileSchemas compiles the schemas of what the service writes.
func compileSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	files, err := fs.Glob(schemas.FS, "v1/*.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for _, file := range files {
		data, err := schemas.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(wire.SchemaRoot+path.Base(file), plain); err != nil {
			t.Fatal(err)
		}
	}
	compiled := map[string]*jsonschema.Schema{}
	for _, name := range []string{"suggestions.value", "event.suggestion.made"} {
		if compiled[name], err = compiler.Compile(wire.SchemaRoot + name + ".schema.json"); err != nil {
			t.Fatal(err)
		}
	}
	return compiled
}

// told lists the suggestions that became events.
func (s *site) told() []wire.Suggestion {
	s.t.Helper()
	stream, err := s.reader.Stream(s.t.Context(), wire.StreamEvents)
	if err != nil {
		s.t.Fatal(err)
	}
	var found []wire.Suggestion
	for i := uint64(1); i <= stream.CachedInfo().State.LastSeq; i++ {
		msg, err := stream.GetMsg(s.t.Context(), i)
		if err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(msg.Subject, "quota.v1.acme.event.") || !strings.HasSuffix(msg.Subject, ".suggestion.made") {
			s.t.Errorf("an event on %s", msg.Subject)
		}
		s.conforms("event.suggestion.made", msg.Data)
		event, err := wire.DecodeEvent(msg.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		var one wire.Suggestion
		if err := event.Into(&one); err != nil {
			s.t.Fatal(err)
		}
		found = append(found, one)
	}
	return found
}

// The whole way on a real server: commits in, events and a list out, across a restart in between.
func TestAdviceAcrossARestart(t *testing.T) {
	t.Parallel()
	s, l := newSite(t), scene.New(t, 1)
	stop := s.start()
	s.commit("acme", l.Encoded(l.Configured()))
	s.commit("acme", l.Encoded(append(l.Exhausted(6), l.Spent(1_000_000))...))
	list := s.awaitList("acme", l.Number())
	if len(list.Suggestions) != 2 || list.Suggestions[0].Rule != "provider_switch" || list.Suggestions[0].SavingMicroUSD != 15_000_000 {
		t.Fatalf("got %+v", list)
	}
	if who := list.Suggestions[1].Occurrences; len(who) != 2 || who[0].Agent != "w0" || who[0].Count != 3 || who[0].FirstAt != wire.TimeOf(scene.Start) {
		t.Errorf("who and when: %+v", who)
	}
	for _, one := range list.Suggestions {
		if one.ConfidencePercent <= 0 || one.ConfidencePercent >= 100_000 || len(one.Evidence) == 0 || one.Title == "" || one.Advice == "" {
			t.Errorf("got %+v", one)
		}
	}
	if err := stop(); err != nil {
		t.Fatalf("a drained service ends with %v", err)
	}
	l.Pass(quota.Hour)
	s.commit("acme", l.Encoded(append(l.Exhausted(2), l.Oversized(9)...)...)) // while nobody listens

	stop = s.start()
	list = s.awaitList("acme", l.Number())
	if len(list.Suggestions) != 3 {
		t.Fatalf("got %d suggestions, want a third", len(list.Suggestions))
	}
	told := s.told()
	if len(told) != 3 || told[0].SuggestionID == told[1].SuggestionID || told[2].Rule != "reservation_size" {
		t.Errorf("told %d times, want each of the three once: %+v", len(told), told)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A process that died between telling and noting it down leaves an outbox; the next one looks what was told last, with
// the rights it has.
func TestResumesAnOutbox(t *testing.T) {
	t.Parallel()
	s, l := newSite(t), scene.New(t, 1)
	js := s.connect(natsauth.RoleSuggestion)
	catalogue, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := keep.New(t.Context(), js, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	first, second := l.Commit(l.Configured()), l.Commit(append(l.Exhausted(6), l.Spent(1_000_000))...)
	dying := book.New("acme", catalogue)
	dying.Read(first)
	dying.Read(second)
	if dying.Advise(nil) != 2 {
		t.Fatal("the scene gives no advice")
	}
	if _, err := keeper.Save(t.Context(), dying, 0); err != nil {
		t.Fatal(err)
	}
	if err := keeper.Publish(t.Context(), "acme", dying.Outbox()[0]); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*ledger.Commit{first, second} {
		data, err := ledger.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		s.commit("acme", data)
	}
	stop := s.start()
	s.awaitList("acme", l.Number())
	if told := s.told(); len(told) != 2 || told[0].SuggestionID != dying.Outbox()[0].SuggestionID || told[1].SuggestionID != dying.Outbox()[1].SuggestionID {
		t.Errorf("told %+v, want the two of the outbox, once each", told)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// Many restarts while commits come in: every commit counts once, all advice is told once.
func TestRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	s, l := newSite(t), scene.New(t, 1)
	s.commit("acme", l.Encoded(l.Configured()))
	const rounds, perRound = 6, 25
	for range rounds {
		stop := s.start()
		for range perRound {
			s.commit("acme", l.Encoded(append(l.Exhausted(1), l.Spent(10_000))...))
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
	l.Pass(quota.Hour) // then back-tests are made anew
	s.commit("acme", l.Encoded())
	stop := s.start()
	list := s.awaitList("acme", l.Number())
	if got := list.Suggestions[0].Evidence[0]; got.Name != "api_spending" || got.Value != rounds*perRound*150_000 {
		t.Errorf("spending %+v, want every commit counted once", got)
	}
	if told := s.told(); len(told) != 2 {
		t.Errorf("told %d times, want two: %+v", len(told), told)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestRunReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	server := natstest.Start(t)
	for name, cfg := range map[string]Config{
		"no telemetry":    {NATS: natsconn.Config{Name: "x", InProcess: server}},
		"negative linger": {NATS: natsconn.Config{Name: "x", InProcess: server}, Telemetry: telemetry.New("x", "", log), Linger: -1},
		"no server":       {NATS: natsconn.Config{Name: "x"}, Telemetry: telemetry.New("x", "", log)},
		"no bucket":       {NATS: natsconn.Config{Name: "x", InProcess: server}, Telemetry: telemetry.New("x", "", log)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := Run(t.Context(), cfg, log); err == nil {
				t.Error("it ran")
			}
		})
	}
}
