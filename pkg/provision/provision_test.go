package provision_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

func newJetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(natstest.Connect(t, natstest.Start(t)))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// small fits the disk of any machine that runs tests.
func small() provision.Config {
	cfg := provision.Defaults()
	cfg.LedgerMaxBytes, cfg.KeyframesMaxBytes, cfg.EventsMaxBytes = 64<<20, 64<<20, 64<<20
	cfg.SuggestionsMaxBytes = 64 << 20
	return cfg
}

func TestEnsureIsIdempotent(t *testing.T) {
	t.Parallel()
	js := newJetStream(t)
	if err := provision.Check(t.Context(), js, small()); !errors.Is(err, provision.ErrAbsent) {
		t.Fatalf("check of nothing: %v", err)
	}
	for range 2 {
		if err := provision.Ensure(t.Context(), js, small(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := provision.Check(t.Context(), js, small()); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerIsABucketAndALog(t *testing.T) {
	t.Parallel()
	js := newJetStream(t)
	if err := provision.Ensure(t.Context(), js, small(), nil); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), wire.BucketLedger)
	if err != nil {
		t.Fatal(err)
	}
	const commits = 200 // more than the 64 revisions that the KV API would allow
	rev, err := kv.Create(t.Context(), "acme", []byte("0"))
	for i := 1; err == nil && i < commits; i++ {
		rev, err = kv.Update(t.Context(), "acme", []byte("x"), rev)
	}
	if err != nil {
		t.Fatal(err)
	}
	if first, err := kv.GetRevision(t.Context(), "acme", 1); err != nil || string(first.Value()) != "0" {
		t.Errorf("the first commit: %v, %v", first, err)
	}
	if _, err := kv.Update(t.Context(), "acme", nil, 1); !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		t.Errorf("an update of an old revision: %v", err)
	}
	if err := kv.Purge(t.Context(), "acme"); err == nil {
		t.Error("a purge through the KV API wiped the log")
	}
	stream, err := js.Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a commit could be deleted")
	}
	if got := stream.CachedInfo().State.Msgs; got != commits {
		t.Errorf("%d revisions are kept, want %d", got, commits)
	}
	// Trimming, by whoever may, works.
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(101), jetstream.WithPurgeSubject(wire.KeySubject(wire.BucketLedger, "acme"))); err != nil {
		t.Error(err)
	}
}

func TestFullLedgerRefuses(t *testing.T) {
	t.Parallel()
	js := newJetStream(t)
	cfg := small()
	cfg.LedgerMaxBytes = provision.MaxMessageBytes
	if err := provision.Ensure(t.Context(), js, cfg, nil); err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), wire.BucketLedger)
	if err != nil {
		t.Fatal(err)
	}
	commit := make([]byte, 300<<10)
	rev, err := kv.Create(t.Context(), "acme", commit)
	var kept uint64
	for err == nil {
		kept = rev
		rev, err = kv.Update(t.Context(), "acme", commit, kept)
	}
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != 10077 || !strings.Contains(api.Description, "maximum bytes") {
		t.Errorf("a full ledger answers %v", err)
	}
	if entry, err := kv.Get(t.Context(), "acme"); err != nil || entry.Revision() != kept {
		t.Errorf("after the refusal: %v, %v; want revision %d", entry, err, kept)
	}
}

// A server without room says what to do about it.
func TestTooLittleStorageIsExplained(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, func(o *natsembed.Options) { o.MaxStoreBytes = 10 * provision.MaxMessageBytes })
	js, err := jetstream.New(natstest.Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	err = provision.Ensure(t.Context(), js, provision.Defaults(), nil)
	if err == nil || !strings.Contains(err.Error(), "max_file_store") {
		t.Errorf("got %v", err)
	}
}

// change describes something that another hand did to a stream.
type change struct {
	stream string
	alter  func(*jetstream.StreamConfig)
	field  string
}

func TestDifferencesAreNamedAndLeftAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]change{
		"history cut":                 {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.MaxMsgsPerSubject = 64 }, "max_msgs_per_subject"},
		"age of what is kept forever": {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.MaxAge = 24 * time.Hour }, "max_age"},
		"bytes":                       {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.MaxBytes = 32 << 20 }, "max_bytes"},
		"discard":                     {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.Discard = jetstream.DiscardOld }, "discard"},
		"direct reads":                {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.AllowDirect = true }, "allow_direct"},
		"age":                         {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.MaxAge = time.Hour }, "max_age"},
		"rollups":                     {wire.StreamLedger, func(s *jetstream.StreamConfig) { s.AllowRollup = true }, "allow_rollup_hdrs"},
		"one more topic":              {wire.StreamEvents, func(s *jetstream.StreamConfig) { s.Subjects = append(s.Subjects, "x") }, "subjects"},
		"duplicates":                  {wire.StreamEvents, func(s *jetstream.StreamConfig) { s.Duplicates = time.Second }, "duplicate_window"},
		"republish": {wire.StreamEvents, func(s *jetstream.StreamConfig) {
			s.RePublish = &jetstream.RePublish{Source: ">", Destination: "copy.>"}
		}, "republish"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := newJetStream(t)
			if err := provision.Ensure(t.Context(), js, small(), nil); err != nil {
				t.Fatal(err)
			}
			altered := alterStream(t, js, c)
			err := provision.Ensure(t.Context(), js, small(), nil)
			var diff *provision.DifferenceError
			if !errors.As(err, &diff) || !errors.Is(err, provision.ErrDiffers) || diff.Field != c.field || !strings.Contains(err.Error(), c.stream) {
				t.Fatalf("ensure: %v, want a difference in %s", err, c.field)
			}
			if again := alterStream(t, js, change{c.stream, func(*jetstream.StreamConfig) {}, ""}); again != altered {
				t.Error("the stream was changed by ensuring it")
			}
		})
	}
}

// alterStream updates a stream's configuration and returns it as text.
func alterStream(t *testing.T, js jetstream.JetStream, c change) string {
	t.Helper()
	stream, err := js.Stream(t.Context(), c.stream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	c.alter(&cfg)
	updated, err := js.UpdateStream(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return updated.CachedInfo().Config.Name + strings.Join(updated.CachedInfo().Config.Subjects, ",") +
		time.Duration(updated.CachedInfo().Config.MaxMsgsPerSubject).String() + updated.CachedInfo().Config.MaxAge.String()
}

func TestConsumerDifferences(t *testing.T) {
	t.Parallel()
	js := newJetStream(t)
	if err := provision.Ensure(t.Context(), js, small(), nil); err != nil {
		t.Fatal(err)
	}
	cons, err := js.Consumer(t.Context(), wire.StreamLedger, wire.ConsumerAnalytics)
	if err != nil {
		t.Fatal(err)
	}
	cfg := cons.CachedInfo().Config
	cfg.MaxAckPending = 1
	if _, err := js.UpdateConsumer(t.Context(), wire.StreamLedger, cfg); err != nil {
		t.Fatal(err)
	}
	var diff *provision.DifferenceError
	if err := provision.Check(t.Context(), js, small()); !errors.As(err, &diff) || diff.Field != "max_ack_pending" {
		t.Errorf("check: %v", err)
	}
}

func TestWiden(t *testing.T) {
	t.Parallel()
	js := newJetStream(t)
	if err := provision.Ensure(t.Context(), js, small(), nil); err != nil {
		t.Fatal(err)
	}
	wider := small()
	wider.LedgerMaxBytes *= 2
	wider.EventsMaxAge *= 2
	if err := provision.Ensure(t.Context(), js, wider, nil); !errors.Is(err, provision.ErrDiffers) {
		t.Fatalf("ensure widened by itself: %v", err)
	}
	if err := provision.Widen(t.Context(), js, wider, nil); err != nil {
		t.Fatal(err)
	}
	if err := provision.Check(t.Context(), js, wider); err != nil {
		t.Fatal(err)
	}
	if err := provision.Widen(t.Context(), js, small(), nil); !errors.Is(err, provision.ErrDiffers) {
		t.Errorf("narrowing: %v", err)
	}
	if err := provision.Check(t.Context(), js, wider); err != nil {
		t.Errorf("narrowing changed something: %v", err)
	}
	if err := provision.Ensure(t.Context(), js, small(), nil); err != nil {
		t.Errorf("whoever does not know of the widening: %v", err)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	err := provision.Config{Replicas: 2, LedgerMaxBytes: 1}.Validate()
	for _, want := range []string{"replicas 2", "ledger max bytes 1", "keyframes", "lease", "suggestions", "events max bytes", "duplicates"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %q", err, want)
		}
	}
	if err := provision.Ensure(t.Context(), nil, provision.Config{}, nil); err == nil {
		t.Error("an invalid configuration was applied")
	}
}
