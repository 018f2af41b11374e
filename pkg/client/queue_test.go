package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/client/clienttest"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestAWaitThatEndsWhileItIsGrantedGivesTheGrantBack: the context ends when the sign of life is under way.
func TestAWaitThatEndsWhileItIsGrantedGivesTheGrantBack(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := start(t, client.Options{}, nil)
	f.desk.Interfere = func(verb string, _ wire.Request, _ int) clienttest.Fault {
		if verb == wire.VerbReport {
			cancel()
			return clienttest.LoseReply
		}
		return clienttest.None
	}
	worker := f.Agent("worker")
	all, err := f.Agent("other").Reserve(ctx, task(100_000))
	if err != nil {
		t.Fatal(err)
	}
	r := task(60_000)
	r.MaxWaitMS = time.Hour.Milliseconds()
	_, queued, err := worker.ReserveOrQueue(ctx, r)
	if err != nil || queued == nil {
		t.Fatalf("not queued: %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := queued.Wait(ctx)
		ended <- err
	}()
	if _, err := f.Agent("other").Release(t.Context(), wire.ReleaseRequest{ReservationID: all.ReservationID}); err != nil {
		t.Fatal(err)
	}
	f.desk.Do(quota.Tick{})
	if f.live() != 1 {
		t.Fatalf("%d are live, want the grant", f.live())
	}
	if err := f.desk.Push(principal, "worker"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the wait ended with %v", err)
	}
	if f.live() != 0 {
		t.Error("the grant is held, and nobody will use it")
	}
}

// TestAGrantIsFoundWithoutAPush: nothing is pushed, and a wait asks often enough to find its grant within the grace.
func TestAGrantIsFoundWithoutAPush(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := start(t, client.Options{}, nil)
	config := clienttest.Config()
	config.Policy.GrantGrace = 5 * quota.Second
	if r := f.desk.Do(quota.ApplyConfig{Actor: quota.Actor{Principal: "root"}, Config: config}); !r.OK() {
		t.Fatal(r.Message)
	}
	all, err := f.Agent("other").Reserve(ctx, task(100_000))
	if err != nil {
		t.Fatal(err)
	}
	r := task(60_000)
	r.MaxWaitMS = time.Hour.Milliseconds()
	_, queued, err := f.Agent("worker").ReserveOrQueue(ctx, r)
	if err != nil || queued == nil {
		t.Fatalf("not queued: %v", err)
	}
	if _, err := f.Agent("other").Release(ctx, wire.ReleaseRequest{ReservationID: all.ReservationID}); err != nil {
		t.Fatal(err)
	}
	go func() { // what is due is done: a grant that nobody claims expires
		for ticker := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
			f.desk.Do(quota.Tick{})
		}
	}()
	granted, err := queued.Wait(ctx)
	if err != nil || granted.ReservationID != queued.ID() {
		t.Fatalf("found %+v, %v", granted, err)
	}
}
