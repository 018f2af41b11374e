package allocator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// TestClientRidesOutARestart: a report that is sent while nobody leads is answered by the next leader, once.
func TestClientRidesOutARestart(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	stop := start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	agent := s.Client("ann").Agent("a1")
	err := agent.Do(ctx, reserveRequest(1000), func(ctx context.Context, task *client.Task) error {
		stop()
		reported := make(chan error, 1)
		// Without a call id, only the request id keeps it from counting twice.
		go func() { reported <- task.Report(ctx, wire.UsageItem{Tokens: tokens(400)}) }()
		start(t, serviceConfig(t, s, nil))
		return <-reported
	})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := s.Operator().Accounts(ctx, wire.AccountsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if l := accounts.Accounts[0].Limits[0]; l.Used != 400 || l.Held != 0 {
		t.Errorf("limit: %+v", l)
	}
}

// TestClientLearnsOfARevocation: the pushed notice cancels the work, and the notice itself is told once and acknowledged.
func TestClientLearnsOfARevocation(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	agent := s.Client("ann").Agent("a1")
	err := agent.Do(ctx, reserveRequest(1000), func(working context.Context, task *client.Task) error {
		if _, err := s.Operator().Revoke(ctx, wire.RevokeRequest{ReservationID: task.ID(), Reason: "needed elsewhere"}); err != nil {
			return err
		}
		<-working.Done()
		return context.Cause(working)
	})
	if !errors.Is(err, wire.ErrClosed) || ctx.Err() != nil {
		t.Fatalf("got %v", err)
	}
	for pending := 1; pending > 0; {
		status, err := agent.Status(ctx, wire.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		pending = len(status.Notices)
	}
}

// TestClientAcceptsWhatIsDecided: an operator's block is an answer, and not asked about again.
func TestClientAcceptsWhatIsDecided(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	operator, agent := s.Operator(), s.Client("ann").Agent("a1")
	if _, err := operator.Hold(ctx, wire.HoldRequest{Target: "workspace", Reason: "freeze"}); err != nil {
		t.Fatal(err)
	}
	request := reserveRequest(10)
	id, err := wire.NewRequestID()
	if err != nil {
		t.Fatal(err)
	}
	request.RequestID = id
	_, err = agent.Reserve(ctx, request)
	if refused, ok := errors.AsType[*wire.Error](err); !ok || !errors.Is(err, wire.ErrUnavailable) || !refused.Decided || !refused.Retryable {
		t.Fatalf("while held back: %v", err)
	}
	if _, err := operator.Resume(ctx, wire.ResumeRequest{Target: "workspace"}); err != nil {
		t.Fatal(err)
	}
	if _, err := agent.Reserve(ctx, request); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("the same request id is answered %v", err)
	}
	if _, err := agent.Reserve(ctx, reserveRequest(10)); err != nil {
		t.Errorf("a new request id is answered %v", err)
	}
}
