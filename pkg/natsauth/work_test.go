package natsauth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

const patience = 10 * time.Second

// site is a server with authorisation on, provisioned, and everybody's keys.
type site struct {
	t    testing.TB
	srv  *natsembed.Server
	keys *natsauth.Keys
}

func newSite(t testing.TB, principals ...natsauth.Identity) *site {
	t.Helper()
	keys, err := natsauth.LoadOrCreate(t.TempDir(), principals...)
	if err != nil {
		t.Fatal(err)
	}
	users, err := keys.Users()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, srv: natstest.Start(t, natstest.Listen(), natstest.Users(users)), keys: keys}
	if err := provision.Ensure(t.Context(), s.js(natsauth.Service(natsauth.RoleProvisioning)), sizes(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func sizes() provision.Config {
	cfg := provision.Defaults()
	for _, bytes := range []*int64{&cfg.LedgerMaxBytes, &cfg.KeyframesMaxBytes, &cfg.SuggestionsMaxBytes, &cfg.EventsMaxBytes} {
		*bytes = 64 << 20
	}
	return cfg
}

func (s *site) connect(id natsauth.Identity) *nats.Conn {
	s.t.Helper()
	cfg, err := s.keys.Connection(id, natsconn.Config{URL: s.srv.URL()})
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := natsconn.Connect(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

func (s *site) js(id natsauth.Identity) jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.connect(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

func (s *site) service(role natsauth.Role) jetstream.JetStream {
	s.t.Helper()
	return s.js(natsauth.Service(role))
}

func (s *site) bucket(js jetstream.JetStream, name string) jetstream.KeyValue {
	s.t.Helper()
	kv, err := js.KeyValue(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return kv
}

// The rights of each role suffice for its work. Every test below does that work as its service does.

func TestStoreKeepsLedgers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.service(natsauth.RoleAllocatorStore)
	ledger := s.bucket(js, wire.BucketLedger)
	rev := commit(t, ledger, "acme", 3)
	if _, err := ledger.GetRevision(t.Context(), "acme", rev-1); err != nil {
		t.Error(err)
	}
	if got := readAll(t, js, wire.StreamLedger, wire.KeySubject(wire.BucketLedger, "acme")); got != 3 {
		t.Errorf("read %d commits, want 3", got)
	}
	keyframes := s.bucket(js, wire.BucketKeyframes)
	for _, key := range []string{"acme.1.0", "acme.1.1"} {
		if _, err := keyframes.Put(t.Context(), key, []byte("chunk")); err != nil {
			t.Error(err)
		}
	}
	if keys, err := keyframes.Keys(t.Context()); err != nil || len(keys) != 2 {
		t.Errorf("keyframes %v, %v", keys, err)
	}
	if err := keyframes.Purge(t.Context(), "acme.1.0"); err != nil {
		t.Error(err)
	}
	commit(t, s.bucket(js, wire.BucketLease), "acme", 2)
}

// commit writes n revisions of a key, each expecting the one before.
func commit(t testing.TB, kv jetstream.KeyValue, key string, n int) uint64 {
	t.Helper()
	rev, err := kv.Create(t.Context(), key, []byte("0"))
	for i := 1; err == nil && i < n; i++ {
		rev, err = kv.Update(t.Context(), key, []byte("x"), rev)
	}
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := kv.Get(t.Context(), key); err != nil || entry.Revision() != rev {
		t.Fatalf("read back %v, %v, want revision %d", entry, err, rev)
	}
	return rev
}

// readAll counts the messages of a subject by an ordered consumer.
func readAll(t testing.TB, js jetstream.JetStream, stream, subject string) int {
	t.Helper()
	cons, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := cons.FetchNoWait(100)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range batch.Messages() {
		n++
	}
	if err := batch.Error(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFollowersFollow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	commit(t, s.bucket(s.service(natsauth.RoleAllocatorStore), wire.BucketLedger), "acme", 5)
	for role, consumer := range map[natsauth.Role]string{
		natsauth.RoleRelay:      wire.ConsumerRelay,
		natsauth.RoleAnalytics:  wire.ConsumerAnalytics,
		natsauth.RoleSuggestion: wire.ConsumerSuggestion,
	} {
		js := s.service(role)
		sub, err := bus.NewRangeSubscriber(bus.SubscriberConfig{JetStream: js, Source: func(string) (bus.Source, error) {
			return bus.Source{Stream: wire.StreamLedger, Consumer: consumer}, nil
		}}, bus.RangeConfig{MaxMessages: 5})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		messages, err := sub.Subscribe(ctx, "ledger")
		if err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		for next := uint64(1); next <= 5; {
			msg, ok := <-messages
			if !ok {
				t.Fatalf("%s read up to %d only", role, next)
			}
			r, _ := bus.RangeOf(msg)
			next = r.Last() + 1
			msg.Ack()
		}
		if err := sub.Close(); err != nil {
			t.Error(err)
		}
		cons, err := js.Consumer(ctx, wire.StreamLedger, consumer)
		if err != nil || cons.CachedInfo().AckFloor.Stream != 5 {
			t.Errorf("%s: floor %+v, %v", role, cons.CachedInfo().AckFloor, err)
		}
	}
}

func TestEventsReachThoseTheyConcern(t *testing.T) {
	t.Parallel()
	ci, lab, ann := natsauth.Agent("acme", "ci"), natsauth.Agent("acme", "lab"), natsauth.Operator("acme", "ann")
	s := newSite(t, ci, lab, ann)
	subject, err := wire.EventSubject("acme", "ci", "w1", "reservation.granted")
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func(id natsauth.Identity, subject string) *nats.Subscription {
		nc := s.connect(id)
		sub, err := nc.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		return sub
	}
	own := subscribe(ci, "quota.v1.acme.event.ci.>")
	all := subscribe(ann, "quota.v1.acme.event.>")

	relay := s.service(natsauth.RoleRelay)
	pub, err := bus.NewPublisher(bus.PublisherConfig{JetStream: relay, Stream: wire.StreamEvents})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish(subject, message.NewMessage("event-1", []byte("{}"))); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []*nats.Subscription{own, all} {
		if _, err := sub.NextMsg(patience); err != nil {
			t.Errorf("%s heard nothing: %v", sub.Subject, err)
		}
	}
	reader := s.service(natsauth.RoleReader)
	if got := readAll(t, reader, wire.StreamEvents, "quota.v1.acme.event.>"); got != 1 {
		t.Errorf("the reader found %d events of the past, want 1", got)
	}
}

func TestSuggestionsAreKeptAndRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.service(natsauth.RoleSuggestion)
	kv := s.bucket(js, wire.BucketSuggestions)
	for _, key := range []string{"acme.one", "acme.two", "other.three"} {
		if _, err := kv.Put(t.Context(), key, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Delete(t.Context(), "acme.two"); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get(t.Context(), "acme.one"); err != nil {
		t.Error(err)
	}
	if _, err := js.Publish(t.Context(), "quota.v1.acme.event.=.=.suggestion.made", []byte("{}")); err != nil {
		t.Error(err)
	}
	events, err := js.Stream(t.Context(), wire.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.GetLastMsgForSubject(t.Context(), "quota.v1.acme.event.=.=.suggestion.made"); err != nil {
		t.Error(err)
	}
	read := s.bucket(s.service(natsauth.RoleReader), wire.BucketSuggestions)
	lister, err := read.ListKeysFiltered(t.Context(), "acme.>")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	if len(keys) != 1 || keys[0] != "acme.one" {
		t.Errorf("listed %v", keys)
	}
	if _, err := read.Get(t.Context(), "acme.one"); err != nil {
		t.Error(err)
	}
	if _, err := read.Put(t.Context(), "acme.one", nil); err == nil {
		t.Error("the reader wrote")
	}
}

func TestMaintenanceTrims(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	store := s.service(natsauth.RoleAllocatorStore)
	commit(t, s.bucket(store, wire.BucketLedger), "acme", 10)
	if _, err := s.bucket(store, wire.BucketKeyframes).Put(t.Context(), "acme.5.0", nil); err != nil {
		t.Fatal(err)
	}
	js := s.service(natsauth.RoleMaintenance)
	stream, err := js.Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range wire.LedgerConsumers() {
		if _, err := stream.Consumer(t.Context(), name); err != nil {
			t.Errorf("floor of %s: %v", name, err)
		}
	}
	subject := wire.KeySubject(wire.BucketLedger, "acme")
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, js, wire.StreamLedger, subject); got != 5 {
		t.Errorf("%d commits are left, want 5", got)
	}
	if err := s.bucket(js, wire.BucketKeyframes).Purge(t.Context(), "acme.5.0"); err != nil {
		t.Error(err)
	}
}

func TestProvisioningProvisions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	js := s.service(natsauth.RoleProvisioning)
	wider := sizes()
	wider.LedgerMaxBytes *= 2
	if err := provision.Widen(t.Context(), js, wider, nil); err != nil {
		t.Error(err)
	}
	if err := provision.Check(t.Context(), js, wider); err != nil {
		t.Error(err)
	}
}

func TestPrincipalsAreAnswered(t *testing.T) {
	t.Parallel()
	ci, ann := natsauth.Agent("acme", "ci"), natsauth.Operator("acme", "ann")
	s := newSite(t, ci, ann)
	answer := func(role natsauth.Role, kind wire.Kind, verb string) {
		nc := s.connect(natsauth.Service(role))
		svc, err := micro.AddService(nc, micro.Config{Name: string(role), Version: "0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = svc.Stop() })
		filter, err := wire.VerbFilter("acme", kind, verb)
		if err != nil {
			t.Fatal(err)
		}
		err = svc.AddEndpoint(verb, micro.HandlerFunc(func(req micro.Request) { _ = req.Respond([]byte("ok")) }),
			micro.WithEndpointSubject(filter), micro.WithEndpointQueueGroupDisabled())
		if err == nil {
			err = nc.Flush() // a subscription counts once the server has it
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	answer(natsauth.RoleAllocatorFront, wire.KindAgent, "reserve")
	answer(natsauth.RoleAllocatorFront, wire.KindAdmin, "apply")
	answer(natsauth.RoleAnalyticsFront, wire.KindQuery, "summary")

	agent, operator := s.connect(ci), s.connect(ann)
	for subject, nc := range map[string]*nats.Conn{
		"quota.v1.acme.agent.ci.w1.reserve":   agent,
		"quota.v1.acme.agent.ann.cli.reserve": operator,
		"quota.v1.acme.admin.ann.apply":       operator,
		"quota.v1.acme.query.ann.summary":     operator,
		"$SRV.PING.allocator-front":           operator,
	} {
		if _, err := nc.RequestWithContext(deadline(t), subject, nil); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestAdmitWhileRunning(t *testing.T) {
	t.Parallel()
	ci, late := natsauth.Agent("acme", "ci"), natsauth.Agent("acme", "late comer")
	s := newSite(t, ci)
	nc := s.connect(ci)
	cfg, err := s.keys.Connection(late, natsconn.Config{URL: s.srv.URL()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := natsconn.Connect(t.Context(), cfg); err == nil {
		t.Fatal("connected without a key")
	}
	for range 2 {
		if err := natsauth.Admit(s.srv, s.keys, late); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.connect(late).Flush(); err != nil {
		t.Error(err)
	}
	if err := nc.Flush(); err != nil || nc.Stats().Reconnects > 0 {
		t.Errorf("another principal was disturbed: %v", err)
	}
	if err := natsauth.Admit(s.srv, s.keys, natsauth.Identity{}); !errors.Is(err, natsauth.ErrIdentity) {
		t.Errorf("nobody was admitted: %v", err)
	}
}

func TestPrincipalsOfADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := natsauth.LoadOrCreate(dir, natsauth.Agent("w", "zoe"), natsauth.Agent("w", "a.b"), natsauth.Agent("x", "other"), natsauth.Operator("w", "root")); err != nil {
		t.Fatal(err)
	}
	got, err := natsauth.Principals(dir, natsauth.RoleAgent, "w")
	if err != nil || len(got) != 2 || got[0] != "a.b" || got[1] != "zoe" {
		t.Errorf("got %q, %v; want the two agents' principals in order", got, err)
	}
}
