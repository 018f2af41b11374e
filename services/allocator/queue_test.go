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

func waitRequest(n int64, wait time.Duration) wire.ReserveRequest {
	r := reserveRequest(n)
	r.MaxWaitMS = wait.Milliseconds()
	return r
}

// queue asks for more than is left and expects a place.
func queue(ctx context.Context, t *testing.T, agent *client.Agent, r wire.ReserveRequest) *client.Queued {
	t.Helper()
	_, queued, err := agent.ReserveOrQueue(ctx, r)
	if err != nil || queued == nil {
		t.Fatalf("not queued: %v", err)
	}
	return queued
}

// TestAPlaceInTheQueueSurvives: the grant finds the agent under another leader, one that is started when the first has ended or
// one that stands by, and the same request id is answered the same.
func TestAPlaceInTheQueueSurvives(t *testing.T) {
	t.Parallel()
	t.Run("a restart", func(t *testing.T) { t.Parallel(); aPlaceSurvives(t, false) })
	t.Run("a takeover", func(t *testing.T) { t.Parallel(); aPlaceSurvives(t, true) })
}

func aPlaceSurvives(t *testing.T, standby bool) {
	t.Helper()
	s := site.Start(t, []string{"ann"})
	stop := start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	holder, agent := s.Client("ann").Agent("holder"), s.Client("ann").Agent("waiter")
	held, err := holder.Reserve(ctx, reserveRequest(90_000))
	if err != nil {
		t.Fatal(err)
	}
	r := waitRequest(50_000, time.Hour)
	if r.RequestID, err = wire.NewRequestID(); err != nil {
		t.Fatal(err)
	}
	queued := queue(ctx, t, agent, r)
	if p := queued.Place(); p.Position != 1 || p.WaitUntil == 0 || p.GraceMS != 60_000 {
		t.Errorf("the place is %+v", p)
	}
	if standby {
		start(t, serviceConfig(t, s, nil))
		stop()
	} else {
		stop()
		start(t, serviceConfig(t, s, nil))
	}
	again, err := agent.Reserve(ctx, r)
	if err != nil || again.State != wire.StateQueued || again.ReservationID != queued.ID() {
		t.Fatalf("the same request id is answered %+v, %v", again, err)
	}
	list, err := s.Operator().Queue(ctx, wire.QueueRequest{})
	if err != nil || list.Total != 1 || list.Waiting[0].ReservationID != queued.ID() || list.Waiting[0].Agent != "waiter" {
		t.Fatalf("the queue is %+v, %v", list, err)
	}
	if _, err := holder.Release(ctx, wire.ReleaseRequest{ReservationID: held.ReservationID}); err != nil {
		t.Fatal(err)
	}
	granted, err := queued.Wait(ctx)
	if err != nil || granted.ReservationID != queued.ID() || granted.Granted.Tokens.Output != 50_000 {
		t.Fatalf("granted: %+v, %v", granted, err)
	}
	status, err := agent.Status(ctx, wire.StatusRequest{ReservationID: queued.ID()})
	if err != nil || len(status.Reservations) != 1 || status.Reservations[0].Unclaimed {
		t.Errorf("after the sign of life: %+v, %v", status, err)
	}
}

func TestAWaitEndsWithoutAGrant(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	agent := s.Client("ann").Agent("a")
	if _, err := agent.Reserve(ctx, reserveRequest(90_000)); err != nil {
		t.Fatal(err)
	}
	var ended *client.NotGranted
	_, err := queue(ctx, t, agent, waitRequest(50_000, time.Second)).Wait(ctx)
	if !errors.As(err, &ended) || ended.Outcome != "timed_out" || !errors.Is(err, wire.ErrInsufficientQuota) {
		t.Errorf("after its longest wait: %v", err)
	}
	revoked := queue(ctx, t, agent, waitRequest(50_000, time.Hour))
	if _, err := s.Operator().Revoke(ctx, wire.RevokeRequest{ReservationID: revoked.ID(), Reason: "not now"}); err != nil {
		t.Fatal(err)
	}
	if _, err := revoked.Wait(ctx); !errors.As(err, &ended) || ended.Outcome != "cancelled" || ended.Reason != "not now" {
		t.Errorf("cancelled by an operator: %v", err)
	}
	impatient, end := context.WithCancel(ctx)
	given := queue(ctx, t, agent, waitRequest(50_000, time.Hour))
	end()
	if _, err := given.Wait(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if list, err := s.Operator().Queue(ctx, wire.QueueRequest{}); err != nil || list.Total != 0 {
		t.Errorf("the queue is %+v, %v", list, err)
	}
}

// TestDoWaitsInTheQueue: work that may wait runs when its turn comes.
func TestDoWaitsInTheQueue(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	first, second := s.Client("ann").Agent("first"), s.Client("ann").Agent("second")
	ran := make(chan error, 1)
	err := first.Do(ctx, reserveRequest(90_000), func(context.Context, *client.Task) error {
		go func() {
			ran <- second.Do(ctx, waitRequest(50_000, time.Hour), func(context.Context, *client.Task) error { return nil })
		}()
		for {
			list, err := s.Operator().Queue(ctx, wire.QueueRequest{Agent: "second"})
			if err != nil || list.Total == 1 {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
}

func TestARefusalNamesAlternativesOnTheWire(t *testing.T) {
	t.Parallel()
	s := site.Start(t, []string{"ann"})
	start(t, serviceConfig(t, s, nil))
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	agent := s.Client("ann").Agent("a")
	if _, err := agent.Reserve(ctx, reserveRequest(90_000)); err != nil {
		t.Fatal(err)
	}
	_, err := agent.Reserve(ctx, reserveRequest(50_000))
	refused, ok := errors.AsType[*wire.Error](err)
	if !ok || len(refused.Details.Alternatives) != 2 {
		t.Fatalf("got %v, %+v", err, refused)
	}
	if a := refused.Details.Alternatives[0]; a.Kind != "smaller" || a.Tokens > 10_000 || a.Tokens < 9_900 {
		t.Errorf("the first is %+v", a)
	}
	r := reserveRequest(50_000)
	r.MinTokens = 5_000
	if granted, err := agent.Reserve(ctx, r); err != nil || granted.Granted.Tokens.Output < 9_900 {
		t.Errorf("a smaller grant: %+v, %v", granted, err)
	}
}
