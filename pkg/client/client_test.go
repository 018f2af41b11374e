package client_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/client/clienttest"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

const (
	workspace = "acme"
	principal = "ci"
	// A try is short, so that lost replies cost the tests little; nothing asserts that something takes this long.
	shortTry = 100 * time.Millisecond
)

type fixture struct {
	srv  *natsembed.Server
	desk *clienttest.Desk
	nc   *nats.Conn
	*client.Client
}

func connect(t testing.TB, srv *natsembed.Server) *nats.Conn {
	t.Helper()
	prefix, err := wire.InboxPrefix(workspace, principal)
	if err != nil {
		t.Fatal(err)
	}
	return natstest.Connect(t, srv, nats.CustomInboxPrefix(prefix))
}

func start(t testing.TB, o client.Options, interfere func(string, wire.Request, int) clienttest.Fault) *fixture {
	t.Helper()
	srv := natstest.Start(t)
	desk, err := clienttest.Open(natstest.Connect(t, srv), workspace, clienttest.Config())
	if err != nil {
		t.Fatal(err)
	}
	desk.Interfere = interfere
	o.Workspace, o.Principal = workspace, principal
	if o.Timeout == 0 {
		o.Timeout = shortTry
	}
	nc := connect(t, srv)
	c, err := client.New(nc, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{srv, desk, nc, c}
}

func (f *fixture) live() (n int) {
	f.desk.Look(func(s *quota.State) { n = s.Live() })
	return n
}

func (f *fixture) totals() (totals quota.Totals) {
	f.desk.Look(func(s *quota.State) { totals = s.Totals() })
	return totals
}

func task(tokens int64) wire.ReserveRequest {
	return wire.ReserveRequest{Provider: "claude", Model: clienttest.PricedModel, Tokens: wire.Tokens{Input: tokens}}
}

func usage(call string, tokens int64) wire.UsageItem {
	return wire.UsageItem{CallID: call, Tokens: wire.Tokens{Input: tokens}}
}

// until waits for a condition.
func until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-look.C:
		case <-deadline.C:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestTheWholeLine(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	ctx, agent := t.Context(), f.Agent("worker.1")

	estimate, err := agent.Estimate(ctx, wire.EstimateRequest{TaskType: "code_review", Model: clienttest.PricedModel})
	if err != nil || estimate.TotalTokens != 8000 || estimate.CostMicroUSD != 8000 {
		t.Fatalf("%+v, %v", estimate, err)
	}
	granted, err := agent.Reserve(ctx, wire.ReserveRequest{Provider: "claude", Model: clienttest.PricedModel, Tokens: estimate.Tokens, Priority: estimate.Priority})
	if err != nil || granted.Account != "api-1" || granted.CostHeldMicroUSD != 8000 || granted.ExpiresAt == 0 {
		t.Fatalf("%+v, %v", granted, err)
	}
	id := granted.ReservationID
	reported, err := agent.Report(ctx, wire.ReportRequest{ReservationID: id, Usage: []wire.UsageItem{usage("m1", 500), usage("m1", 700)}})
	if err != nil || reported.Used.Tokens.Input != 700 || !reported.Recorded {
		t.Fatalf("%+v, %v", reported, err)
	}
	extended, err := agent.Extend(ctx, wire.ExtendRequest{ReservationID: id, Tokens: wire.Tokens{Output: 100}})
	if err != nil || extended.Granted.Tokens.Total() != 8100 {
		t.Fatalf("%+v, %v", extended, err)
	}
	listed, err := agent.List(ctx, wire.ListRequest{})
	if err != nil || len(listed.Reservations) != 1 || listed.Reservations[0].ReservationID != id {
		t.Fatalf("%+v, %v", listed, err)
	}
	status, err := agent.Status(ctx, wire.StatusRequest{})
	if err != nil || len(status.Limits) != 2 || status.Limits[0].Held != 7400 || status.Totals.Live != 1 {
		t.Fatalf("%+v, %v", status, err)
	}
	settled, err := agent.Settle(ctx, wire.SettleRequest{ReservationID: id, Usage: []wire.UsageItem{usage("m2", 100)}})
	if err != nil || settled.Outcome != "settled" || settled.Used.Tokens.Input != 800 || settled.Returned.Tokens.Total() != 7300 {
		t.Fatalf("%+v, %v", settled, err)
	}
	_, err = agent.Release(ctx, wire.ReleaseRequest{ReservationID: id})
	if refused, ok := errors.AsType[*wire.Error](err); !ok || !errors.Is(err, wire.ErrClosed) || refused.Details.Outcome != "settled" {
		t.Errorf("release after settle: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	agent := f.Agent("worker")
	reserve := func(r wire.ReserveRequest) error {
		_, err := agent.Reserve(t.Context(), r)
		return err
	}
	wrongProvider := task(1)
	wrongProvider.Provider = "nobody"
	wrongAccount := wire.ReserveRequest{Account: "nobody", Model: "m"}
	for name, tc := range map[string]struct {
		request   wire.ReserveRequest
		want      error
		retryable bool
	}{
		"too much":         {task(100_001), wire.ErrInsufficientQuota, false},
		"unknown provider": {wrongProvider, wire.ErrProviderNotSupported, false},
		"unknown account":  {wrongAccount, wire.ErrSubscriptionInfoUnavailable, false},
		"no model":         {wire.ReserveRequest{Provider: "claude"}, wire.ErrInvalid, false},
	} {
		err := reserve(tc.request)
		refused, ok := errors.AsType[*wire.Error](err)
		if !errors.Is(err, tc.want) || !ok || refused.Retryable != tc.retryable {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := reserve(task(100_001))
	if refused, ok := errors.AsType[*wire.Error](err); !ok || refused.Details.LimitID != "api-1/day" || *refused.Details.Available != 100_000 || refused.Details.Requested != 100_001 {
		t.Errorf("details of %v", err)
	}
	for range 5 {
		if err := reserve(task(1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := reserve(task(1)); !errors.Is(err, wire.ErrConcurrentLimitExceeded) {
		t.Errorf("a sixth reservation: %v", err)
	}
	if _, err := f.Agent("").Status(t.Context(), wire.StatusRequest{}); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("an agent without a name: %v", err)
	}
	if _, err := agent.Report(t.Context(), wire.ReportRequest{ReservationID: "other", Usage: []wire.UsageItem{usage("", 5)}}); !errors.Is(err, wire.ErrAllocationNotFound) || f.totals().Used != 5 {
		t.Errorf("usage of an unknown reservation: %v, %d tokens recorded", err, f.totals().Used)
	}
}

// An id that is none is refused. With another in its place, the caller's retry would reserve twice.
func TestAFaultyRequestIDIsRefused(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	for _, id := range []string{"job-17", "0195f3c2-7b1e-4a44-9d0b-3f6f2a7c5e10"} { // the other is a UUID of version 4
		request := task(1)
		request.RequestID = id
		if granted, err := f.Agent("worker").Reserve(t.Context(), request); !errors.Is(err, wire.ErrInvalid) || !strings.Contains(err.Error(), "UUIDv7") {
			t.Errorf("%s: %+v, %v", id, granted, err)
		}
	}
}

func TestLostRepliesAreAskedForAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	ids := map[string]bool{}
	f := start(t, client.Options{}, func(_ string, r wire.Request, n int) clienttest.Fault {
		mu.Lock()
		defer mu.Unlock()
		ids[r.(wire.Mutation).ID().String()] = true
		return []clienttest.Fault{clienttest.LoseReply, clienttest.NoLeader, clienttest.Swallow, clienttest.None}[min(n-1, 3)]
	})
	granted, err := f.Agent("worker").Reserve(t.Context(), task(10))
	if err != nil {
		t.Fatal(err)
	}
	requests, decided := f.desk.Counts()
	if requests != 4 || decided != 1 || f.live() != 1 || granted.ReservationID != "r-1" || len(ids) != 1 {
		t.Errorf("%d requests with %d ids, %d decided, %d live, granted %q", requests, len(ids), decided, f.live(), granted.ReservationID)
	}
}

func TestWaitsForALeader(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	if err := f.desk.Shut(); err != nil {
		t.Fatal(err)
	}
	before := f.nc.Stats().OutMsgs
	done := make(chan error, 1)
	go func() {
		_, err := f.Agent("worker").Reserve(t.Context(), task(10))
		done <- err
	}()
	until(t, "the client has tried three times", func() bool { return f.nc.Stats().OutMsgs >= before+3 })
	if err := f.desk.Serve(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestUnanswered(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{Patience: 5 * shortTry}, nil)
	if err := f.desk.Shut(); err != nil {
		t.Fatal(err)
	}
	_, err := f.Agent("worker").Reserve(t.Context(), task(10))
	unanswered, ok := errors.AsType[*client.Unanswered](err)
	if !ok || !errors.Is(err, wire.ErrUnavailable) || !errors.Is(err, nats.ErrNoResponders) || unanswered.Tries < 2 {
		t.Fatalf("got %v", err)
	}
	if err := f.desk.Serve(); err != nil {
		t.Fatal(err)
	}
	again := task(10)
	again.RequestID = unanswered.RequestID
	for range 2 {
		if granted, err := f.Agent("worker").Reserve(t.Context(), again); err != nil || granted.ReservationID != "r-1" {
			t.Errorf("the same request again: %+v, %v", granted, err)
		}
	}
	again.Requests = 2
	if _, err := f.Agent("worker").Reserve(t.Context(), again); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("the same id with other parameters: %v", err)
	}
}

func TestCancellationEndsACallAtOnce(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 10)
	f := start(t, client.Options{Timeout: time.Minute, Patience: time.Hour}, func(string, wire.Request, int) clienttest.Fault {
		asked <- struct{}{}
		return clienttest.Swallow
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := f.Agent("worker").Reserve(ctx, task(10))
		done <- err
	}()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsDecidedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	if r := f.desk.Do(quota.Block{Target: quota.BlockWorkspace, Reason: "freeze"}); !r.OK() {
		t.Fatal(r.Message)
	}
	_, err := f.Agent("worker").Reserve(t.Context(), task(10))
	refused, ok := errors.AsType[*wire.Error](err)
	if requests, _ := f.desk.Counts(); !ok || !errors.Is(err, wire.ErrUnavailable) || !refused.Decided || !refused.Retryable || requests != 1 {
		t.Errorf("%d requests, %v", requests, err)
	}
	f.desk.Interfere = func(string, wire.Request, int) clienttest.Fault { return clienttest.Break }
	if _, err := f.Agent("worker").Reserve(t.Context(), task(10)); !errors.Is(err, wire.ErrInternal) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestReserveWait(t *testing.T) {
	t.Parallel()
	f := start(t, client.Options{}, nil)
	agent := f.Agent("worker")
	var held []string
	for range 5 {
		soonOver := task(1)
		soonOver.TTLMS = 1000 // so that the refusal names a second, the least there is
		granted, err := agent.Reserve(t.Context(), soonOver)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, granted.ReservationID)
	}
	done := make(chan error, 1)
	before, _ := f.desk.Counts()
	go func() {
		_, err := agent.ReserveWait(t.Context(), task(1))
		done <- err
	}()
	until(t, "the sixth was refused", func() bool { n, _ := f.desk.Counts(); return n > before })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := agent.ReserveWait(ctx, task(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := agent.ReserveWait(t.Context(), task(100_001)); !errors.Is(err, wire.ErrInsufficientQuota) {
		t.Errorf("a terminal refusal: %v", err)
	}
	f.desk.Do(quota.Release{Actor: quota.Actor{Principal: principal, Agent: "worker"}, Reservation: held[0]})
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	f := start(t, client.Options{OnNotice: func(agent string, n wire.Notice) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, agent+" "+n.Kind+" "+n.ReservationID)
	}}, nil)
	agent := f.Agent("worker")
	granted, err := agent.Reserve(t.Context(), task(1))
	if err != nil {
		t.Fatal(err)
	}
	f.desk.Do(quota.Revoke{Actor: quota.Actor{Principal: "root"}, Reservation: granted.ReservationID, Reason: "needed elsewhere"})
	if err := f.desk.Push(principal, "worker"); err != nil {
		t.Fatal(err)
	}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(told) }
	until(t, "the pushed notice is told", func() bool { return count() == 1 })
	for range 2 {
		if _, err := agent.Status(t.Context(), wire.StatusRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	var pending int
	f.desk.Look(func(s *quota.State) { pending = len(s.Notices(quota.Actor{Principal: principal, Agent: "worker"})) })
	if want := "worker revoked " + granted.ReservationID; count() != 1 || told[0] != want || pending != 0 {
		t.Errorf("told %q, want %q once; %d pending", told, want, pending)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	nc := natstest.Connect(t, natstest.Start(t))
	if _, err := client.New(nc, client.Options{Workspace: workspace, Principal: principal}); err == nil || !strings.Contains(err.Error(), "_INBOX.acme.ci") {
		t.Errorf("a connection with another inbox prefix: %v", err)
	}
	if _, err := client.New(nc, client.Options{Timeout: -1}); err == nil || !strings.Contains(err.Error(), "workspace and principal") || !strings.Contains(err.Error(), "negative") {
		t.Errorf("every fault: %v", err)
	}
}
