// Package attacktest attacks a running system over NATS, each way a stranger, a principal, an operator
// or a compromised service might, and checks that nothing came of it.
//
// It starts a server from the generated configuration file; the caller adds what answers requests
// there: the allocator, or a stand-in. It is a suite to import: `attacktest.Run(t, serve)`.
//
// "Nothing" means: no stream, bucket or durable consumer has another configuration; ledger, events and
// suggestions hold the messages they held; the victim heard nothing that was forged; the attacker heard
// nothing that was not his; the system still answers.
package attacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/wire"
)

// System is what the suite attacks.
type System struct {
	// URL of the server, and the keys of everybody who may connect.
	URL  string
	Keys *natsauth.Keys
	// Workspace that is to be served.
	Workspace string
}

// Connection returns the configuration of an identity's connection.
func (s System) Connection(t testing.TB, id natsauth.Identity) natsconn.Config {
	t.Helper()
	cfg, err := s.Keys.Connection(id, natsconn.Config{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Connect opens a connection of an identity, closed when the test ends.
func (s System) Connect(t testing.TB, id natsauth.Identity) *nats.Conn {
	t.Helper()
	nc, err := natsconn.Connect(t.Context(), s.Connection(t, id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Serve starts what answers the requests of the system's workspace. It returns when it serves, and
// sees to it that everything ends with the test.
type Serve func(t testing.TB, system System)

// The people of the play. Workspace and the victim are those of deployments/nats.conf.
const (
	workspace      = natsauth.DefaultWorkspace
	otherWorkspace = "other"
	victimName     = natsauth.DefaultAgent
	operatorName   = natsauth.DefaultOperator

	stolen   = "stolen" // marks subjects that nobody but an attacker chooses
	forged   = "forged" // marks what attackers write
	patience = 15 * time.Second
)

// cast returns everybody who may connect: those of the deployment, and the attackers.
func cast() []natsauth.Identity {
	return append(natsauth.DefaultIdentities(),
		agent("mallory"), agent("bystander"), operator("oscar"), vera,
		natsauth.Agent(otherWorkspace, "eve"), natsauth.Operator(otherWorkspace, "olga"))
}

func agent(name string) natsauth.Identity    { return natsauth.Agent(workspace, name) }
func operator(name string) natsauth.Identity { return natsauth.Operator(workspace, name) }
func service(role natsauth.Role) natsauth.Identity {
	return natsauth.Service(role)
}

// Run attacks. Each attack is a subtest by its name.
func Run(t *testing.T, serve Serve) {
	t.Helper()
	a := newArena(t)
	serve(t, a.system)
	a.barrier(t)
	a.traffic(t) // so that no stream is empty, and purging one would show
	a.settle(t)
	for _, atk := range attacks() {
		t.Run(atk.name, func(t *testing.T) { // one after the other: each compares before and after
			before := a.look(t)
			atk.run(t, a)
			a.barrier(t)
			if changes := before.changes(a.look(t)); len(changes) > 0 {
				t.Errorf("the attack changed something: %s", strings.Join(changes, "; "))
			}
		})
	}
}

// arena is the system with eyes on everything.
type arena struct {
	system    System
	eyes      jetstream.JetStream // the reader's connection
	bystander *nats.Conn
	victim    *nats.Conn
	relay     jetstream.JetStream
	front     *nats.Conn // a second connection of the allocator's front, for genuine notices
	events    uint64     // how many genuine events were published by traffic

	mu    sync.Mutex
	heard []string // what reached the victim though nobody genuine sent it
}

func newArena(t *testing.T) *arena {
	t.Helper()
	dir := t.TempDir()
	keys, err := natsauth.WriteDeployment(dir, cast())
	if err != nil {
		t.Fatal(err)
	}
	a := &arena{system: System{URL: startServer(t, filepath.Join(dir, "nats.conf")), Keys: keys, Workspace: workspace}}
	provisioner := newJetStream(t, a.system.Connect(t, service(natsauth.RoleProvisioning)))
	if err := provision.Ensure(t.Context(), provisioner, smallSizes(), nil); err != nil {
		t.Fatal(err)
	}
	a.eyes = newJetStream(t, a.system.Connect(t, service(natsauth.RoleReader)))
	a.relay = newJetStream(t, a.system.Connect(t, service(natsauth.RoleRelay)))
	a.front = a.system.Connect(t, service(natsauth.RoleAllocatorFront))
	a.bystander = a.system.Connect(t, agent("bystander"))
	a.victim = a.system.Connect(t, agent(victimName))
	a.listen(t)
	return a
}

// startServer runs a server from a configuration file; only where it listens and stores is another.
func startServer(t testing.TB, file string) string {
	t.Helper()
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Port, opts.HTTPPort, opts.NoSigs, opts.NoLog = server.RANDOM_PORT, 0, true, true
	opts.StoreDir = t.TempDir()
	ns, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(patience) {
		t.Fatal("the server did not start")
	}
	return ns.ClientURL()
}

func newJetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func smallSizes() provision.Config {
	cfg := provision.Defaults()
	for _, bytes := range []*int64{&cfg.LedgerMaxBytes, &cfg.KeyframesMaxBytes, &cfg.SuggestionsMaxBytes, &cfg.EventsMaxBytes} {
		*bytes = 64 << 20
	}
	return cfg
}

// listen subscribes the victim to all it may hear, and notes what an attacker sent.
func (a *arena) listen(t testing.TB) {
	t.Helper()
	inbox, err := agent(victimName).InboxPrefix()
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{inbox + ".>", own(wire.KindEvent, victimName), own(wire.KindNotice, victimName)} {
		_, err := a.victim.Subscribe(subject, func(m *nats.Msg) {
			if strings.Contains(m.Subject, stolen) || strings.Contains(string(m.Data), forged) {
				a.mu.Lock()
				a.heard = append(a.heard, m.Subject)
				a.mu.Unlock()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.victim.Flush(); err != nil {
		t.Fatal(err)
	}
}

// own returns the filter of all of a kind that belongs to a principal of the workspace.
func own(kind wire.Kind, principal string) string {
	return subjectOf(workspace, kind, principal, ">")
}

// subjectOf writes a subject as an attacker would: unchecked.
func subjectOf(ws string, kind wire.Kind, principal string, rest ...string) string {
	return strings.Join(append([]string{wire.SubjectRoot, wire.SubjectVersion, ws, string(kind), principal}, rest...), ".")
}

// barrier returns when whatever the attackers caused has had its effect: the answer to a request that
// came after theirs has arrived, and the victim has read all that was sent to it.
func (a *arena) barrier(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	subject := subjectOf(workspace, wire.KindAgent, "bystander", "w", wire.VerbStatus)
	if _, err := a.bystander.RequestWithContext(ctx, subject, nil); err != nil {
		t.Fatalf("the system does not answer any more: %v", err)
	}
	if err := a.victim.FlushWithContext(ctx); err != nil {
		t.Fatalf("the victim has lost its connection: %v", err)
	}
}

// settle returns when what the system does at its start has been done.
func (a *arena) settle(t testing.TB) {
	t.Helper()
	const quiet = 500 * time.Millisecond
	deadline := time.After(patience)
	for last := a.look(t); ; {
		select {
		case <-deadline:
			t.Fatal("the system does not come to rest")
		case <-time.After(quiet):
		}
		now := a.look(t)
		if len(last.changes(now)) == 0 {
			return
		}
		last = now
	}
}

// traffic is what a sniffer hopes to hear: a request of the victim with its answer, an event and a
// notice for it.
func (a *arena) traffic(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := a.victim.RequestWithContext(ctx, subjectOf(workspace, wire.KindAgent, victimName, "w", wire.VerbStatus), nil); err != nil {
		t.Fatal(err)
	}
	event := &nats.Msg{Subject: subjectOf(workspace, wire.KindEvent, victimName, "w", "reservation", "granted"), Data: []byte("{}")}
	if _, err := a.relay.PublishMsg(ctx, event); err != nil {
		t.Fatal(err)
	}
	a.events++
	if err := a.front.Publish(subjectOf(workspace, wire.KindNotice, victimName, "w"), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := a.front.FlushWithContext(ctx); err != nil {
		t.Fatal(err)
	}
}

// view is all that an attack could change, as text by what it is.
type view map[string]string

// watched are the streams whose content only changes when somebody genuine acts. The lease is renewed
// and keyframes are written while nobody asks for anything.
var watched = []string{wire.StreamLedger, wire.StreamSuggestions, wire.StreamEvents}

func (a *arena) look(t testing.TB) view {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v := view{}
	for _, name := range []string{wire.StreamLedger, wire.StreamKeyframes, wire.StreamLease, wire.StreamSuggestions, wire.StreamEvents} {
		stream, err := a.eyes.Stream(ctx, name)
		if err != nil {
			v[name] = err.Error()
			continue
		}
		info := stream.CachedInfo()
		v[name] = text(t, info.Config)
		if slices.Contains(watched, name) {
			msgs, last := info.State.Msgs, info.State.LastSeq
			if name == wire.StreamEvents { // do not count our own
				msgs, last = msgs-a.events, last-a.events
			}
			v[name+" content"] = fmt.Sprintf("%d messages, %d to %d, %d deleted", msgs, info.State.FirstSeq, last, info.State.NumDeleted)
		}
	}
	for _, name := range wire.LedgerConsumers() {
		cons, err := a.eyes.Consumer(ctx, wire.StreamLedger, name)
		if err != nil {
			v["consumer "+name] = err.Error()
			continue
		}
		v["consumer "+name] = text(t, cons.CachedInfo().Config)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v["heard by the victim"] = strings.Join(a.heard, ", ")
	return v
}

func text(t testing.TB, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (v view) changes(after view) []string {
	var changes []string
	for _, key := range slices.Sorted(maps.Keys(v)) {
		if v[key] != after[key] {
			changes = append(changes, fmt.Sprintf("%s: %s, then %s", key, v[key], after[key]))
		}
	}
	return changes
}
