package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// maxSeenNotices bounds what an Agent remembers of notices it has told.
const maxSeenNotices = 1000

// Agent speaks for one agent; see [Client.Agent]. Every method returns a *[wire.Error] for a refusal and an
// *[Unanswered] when nothing was decided. A request without RequestID gets one; set it to repeat an earlier request.
type Agent struct {
	client  *Client
	name    string
	prefix  string // of subjects
	invalid error

	mu      sync.Mutex
	acks    []uint64 // told and not yet acknowledged
	seen    map[noticeKey]bool
	seenLog []noticeKey
	tasks   map[string]*Task   // by reservation
	waits   map[string]*Queued // as well

	fetching bool // a question for pending notices is under way
}

// noticeKey identifies a notice. Its ID alone would not do for a client that outlives the ledger: those of another one begin again.
type noticeKey struct {
	id                uint64
	kind, reservation string
	at                wire.Time
}

// Name is the agent's name.
func (a *Agent) Name() string { return a.name }

// Estimate asks what a task will take.
func (a *Agent) Estimate(ctx context.Context, r wire.EstimateRequest) (*wire.EstimateReply, error) {
	return ask[wire.EstimateReply](ctx, a, &r)
}

// Reserve asks to hold units. Refusals: ErrInsufficientQuota, ErrConcurrentLimitExceeded, ErrProviderNotSupported,
// ErrSubscriptionInfoUnavailable, ErrUnavailable (held back by an operator), ErrInvalid. If Retryable is set the same may
// be asked again after RetryAfterMS, with a new request id; what would be granted instead is in Details.Alternatives;
// otherwise it never fits into this window. A request with MaxWaitMS may be answered with State "queued":
// nothing is held then; see [Agent.ReserveOrQueue].
func (a *Agent) Reserve(ctx context.Context, r wire.ReserveRequest) (*wire.ReservationReply, error) {
	return ask[wire.ReservationReply](ctx, a, &r)
}

// Report records usage and renews the lease. Refusals that say Recorded have recorded it all the same:
// ErrAllocationExceeded (extend before you go on), ErrClosed, ErrAllocationNotFound.
func (a *Agent) Report(ctx context.Context, r wire.ReportRequest) (*wire.ReservationReply, error) {
	return ask[wire.ReservationReply](ctx, a, &r)
}

// Extend asks for more units or time. Refusals as of Reserve, and ErrClosed and ErrAllocationNotFound.
func (a *Agent) Extend(ctx context.Context, r wire.ExtendRequest) (*wire.ReservationReply, error) {
	return ask[wire.ReservationReply](ctx, a, &r)
}

// Settle records the last usage and closes. Refusals as of Report; after ErrAllocationExceeded it is settled.
func (a *Agent) Settle(ctx context.Context, r wire.SettleRequest) (*wire.ReservationReply, error) {
	return ask[wire.ReservationReply](ctx, a, &r)
}

// Release closes without further usage. Refusals: ErrClosed, ErrAllocationNotFound.
func (a *Agent) Release(ctx context.Context, r wire.ReleaseRequest) (*wire.ReservationReply, error) {
	return ask[wire.ReservationReply](ctx, a, &r)
}

// Status tells how the agent stands.
func (a *Agent) Status(ctx context.Context, r wire.StatusRequest) (*wire.StatusReply, error) {
	return ask[wire.StatusReply](ctx, a, &r)
}

// List lists the agent's reservations.
func (a *Agent) List(ctx context.Context, r wire.ListRequest) (*wire.ReservationsReply, error) {
	return ask[wire.ReservationsReply](ctx, a, &r)
}

// Observe hands in what a provider said of a window.
func (a *Agent) Observe(ctx context.Context, r wire.ObserveRequest) (*wire.ObserveReply, error) {
	return ask[wire.ObserveReply](ctx, a, &r)
}

// ReserveWait is Reserve that waits while a refusal is retryable: it asks again, each time with a new request id, after
// the time the refusal names, until ctx ends. Then the last refusal is returned beside ctx's error.
func (a *Agent) ReserveWait(ctx context.Context, r wire.ReserveRequest) (*wire.ReservationReply, error) {
	for {
		reply, err := a.reserveAndWait(ctx, r)
		refused, retryable := retryable(err)
		if !retryable {
			return reply, err
		}
		pause := max(time.Duration(refused.RetryAfterMS)*time.Millisecond, lastPause)
		if ctxErr := sleep(ctx, pause, pause); ctxErr != nil {
			return nil, fmt.Errorf("wait for quota: %w: %w", ctxErr, err)
		}
		r.RequestID = ""
	}
}

// ask sends a request of an agent.
func ask[Reply any](ctx context.Context, a *Agent, r wire.Acknowledging) (*Reply, error) {
	if a.invalid != nil {
		return nil, fmt.Errorf("agent %q: %w", a.name, a.invalid)
	}
	if m, ok := r.(wire.Mutation); ok {
		identify(m)
	}
	acks := a.pendingAcks()
	if len(acks) > 0 {
		wire.SetAcks(r, acks)
	}
	reply := new(Reply)
	if err := a.client.call(ctx, a.prefix+r.Verb(), r, a.client.options.Timeout, reply, func(n []wire.Notice) { a.answered(acks, n) }); err != nil {
		return nil, err
	}
	return reply, nil
}

func (a *Agent) pendingAcks() []uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.acks) == 0 {
		return nil
	}
	return slices.Clone(a.acks[:min(len(a.acks), wire.MaxAcks)])
}

// answered notes that the server has seen the acknowledgements, and tells of the notices in its reply.
func (a *Agent) answered(acks []uint64, notices []wire.Notice) {
	if len(acks) > 0 {
		a.mu.Lock()
		a.acks = slices.DeleteFunc(a.acks, func(id uint64) bool {
			return slices.Contains(acks, id) && !slices.ContainsFunc(notices, func(n wire.Notice) bool { return n.ID == id })
		})
		a.mu.Unlock()
	}
	a.notify(notices)
}

// hurry takes in a pushed notice. The task that it ends is told at once; the notice itself, which can be acknowledged, is
// asked for.
func (a *Agent) hurry(n wire.Notice) {
	a.mu.Lock()
	task := a.tasks[n.ReservationID]
	fetch := !a.fetching
	a.fetching = true
	a.mu.Unlock()
	if task != nil {
		task.noticed(n)
	}
	if q := a.waiting(n.ReservationID); q != nil {
		q.noticed(n)
	}
	if fetch {
		a.client.background(a.fetchNotices)
	}
}

func (a *Agent) fetchNotices() {
	a.mu.Lock()
	a.fetching = false // what is pushed from now on is not in the answer
	a.mu.Unlock()
	ctx, cancel := a.client.untilClosed()
	defer cancel()
	if _, err := a.Status(ctx, wire.StatusRequest{}); err != nil && ctx.Err() == nil {
		a.client.options.Log.Warn("ask for notices", "agent", a.name, "error", err)
	}
}

// notify tells of each notice once: the tasks that it ends, and the client's owner.
func (a *Agent) notify(notices []wire.Notice) {
	for _, n := range notices {
		task, isNew := a.note(n)
		if !isNew {
			continue
		}
		if task != nil {
			task.noticed(n)
		}
		if q := a.waiting(n.ReservationID); q != nil {
			q.noticed(n)
		}
		if tell := a.client.options.OnNotice; tell != nil {
			tell(a.name, n)
		}
	}
}

func (a *Agent) note(n wire.Notice) (task *Task, isNew bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := noticeKey{n.ID, n.Kind, n.ReservationID, n.At}
	if a.seen[key] {
		return nil, false
	}
	a.seen[key] = true
	a.acks = append(a.acks, n.ID)
	if a.seenLog = append(a.seenLog, key); len(a.seenLog) > maxSeenNotices {
		delete(a.seen, a.seenLog[0])
		a.seenLog = slices.Clone(a.seenLog[1:])
	}
	return a.tasks[n.ReservationID], true
}
