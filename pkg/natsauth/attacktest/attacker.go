package attacktest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsauth"
)

// outcome is what an attacker must see.
type outcome int

const (
	// refused: the server reports a permissions violation.
	refused outcome = iota
	// unheard: nobody reports anything, and nothing happens.
	unheard
	// deaf: the server refuses the subscription, and what passes by is not heard.
	deaf
)

// attack is one row: who does what, and what he must see. That nothing changed is checked for every row.
type attack struct {
	name string
	as   natsauth.Identity
	do   func(*attacker)
	want outcome
	// bare attacks work on a plain socket or with credentials of their own.
	bare func(t *testing.T, a *arena)
}

func (atk attack) run(t *testing.T, a *arena) {
	t.Helper()
	if atk.bare != nil {
		atk.bare(t, a)
		return
	}
	x := newAttacker(t, a, atk.as)
	atk.do(x)
	x.flush()
	switch atk.want {
	case refused:
		x.wantViolation()
	case deaf:
		x.wantViolation()
		a.traffic(t)
		x.flush()
	case unheard:
	}
	a.barrier(t) // before the attacker's connection, and with it his subscriptions, are gone
	x.wantSilence()
}

// attacker is a connection with bad intentions.
type attacker struct {
	t          testing.TB
	nc         *nats.Conn
	violations chan error
	loot       chan string
}

const bufferedFinds = 1024

func newAttacker(t *testing.T, a *arena, id natsauth.Identity) *attacker {
	t.Helper()
	x := &attacker{t: t, violations: make(chan error, bufferedFinds), loot: make(chan string, bufferedFinds)}
	cfg := a.system.Connection(t, id)
	nkey, err := nats.NkeyOptionFromSeed(cfg.NkeySeedFile)
	if err != nil {
		t.Fatal(err)
	}
	x.nc, err = nats.Connect(cfg.URL, nkey, nats.CustomInboxPrefix(cfg.InboxPrefix),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case x.violations <- err:
			default: // one is enough
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.nc.Close)
	return x
}

func (x *attacker) publish(subject, data string) {
	x.send(&nats.Msg{Subject: subject, Data: []byte(data)})
}

// ask publishes a request that wants its answer at reply.
func (x *attacker) ask(subject, reply string, body []byte) {
	x.send(&nats.Msg{Subject: subject, Reply: reply, Data: body})
}

func (x *attacker) send(m *nats.Msg) {
	x.t.Helper()
	if err := x.nc.PublishMsg(m); err != nil {
		x.t.Fatalf("publish to %s: %v", m.Subject, err)
	}
}

// spy subscribes and keeps what is heard.
func (x *attacker) spy(subject, queue string) {
	x.t.Helper()
	keep := func(m *nats.Msg) {
		select {
		case x.loot <- m.Subject + " " + string(m.Data):
		default:
		}
	}
	if _, err := x.nc.QueueSubscribe(subject, queue, keep); err != nil {
		x.t.Fatalf("subscribe to %s: %v", subject, err)
	}
}

func (x *attacker) flush() {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), patience)
	defer cancel()
	if err := x.nc.FlushWithContext(ctx); err != nil {
		x.t.Fatalf("flush: %v", err)
	}
}

func (x *attacker) wantViolation() {
	x.t.Helper()
	select {
	case err := <-x.violations:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			x.t.Errorf("the server reports %v, want a permissions violation", err)
		}
	case <-time.After(patience):
		x.t.Error("the server reports no permissions violation")
	}
}

func (x *attacker) wantSilence() {
	x.t.Helper()
	select {
	case heard := <-x.loot:
		x.t.Errorf("the attacker heard %s", heard)
	default:
	}
}
