package record

import (
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// fill puts the fields of an event into their columns. An event of a kind that is not known here
// keeps its identity, kind and time: pkg/ledger refuses what it cannot decode, so this is only a kind
// that was added without a column to show it in.
func (r *Row) fill(event quota.Event) {
	switch e := event.(type) {
	case *quota.EpochClaimed:
		r.Target = e.Writer
	case *quota.ConfigApplied:
		r.At, r.ConfigVersion = e.At, e.Config.Version
		r.act(e.Actor)
	case *quota.ReservationGranted:
		r.fillGranted(e)
	case *quota.ReservationDenied:
		r.fillDenied(e)
	case *quota.ReservationExtended:
		r.At, r.Reservation, r.Labels, r.Amount, r.Cost, r.Expires = e.At, e.Reservation, e.Labels, e.Amount, e.CostHeld, e.Expires
		r.addLimits(e.Holds)
	case *quota.ReservationRenewed:
		r.At, r.Reservation, r.Expires = e.At, e.Reservation, e.Expires
	case *quota.ReservationExpiring:
		r.At, r.Reservation, r.Labels, r.Expires = e.At, e.Reservation, e.Labels, e.Expires
	case *quota.ReservationPreempting:
		r.At, r.Reservation, r.Labels, r.Expires = e.At, e.Reservation, e.Labels, e.Expires
		r.Limit, r.Target, r.Requested = e.Limit, "team "+e.For, e.Units
	case *quota.ReservationShrunk:
		r.At, r.Reservation, r.Labels, r.Amount, r.Cost = e.At, e.Reservation, e.Labels, e.Amount, e.CostHeld
		r.GrantedTokens, r.Limit, r.Target = e.Granted.Tokens.Total(), e.Limit, "team "+e.For
		r.addLimits(e.Returned)
	case *quota.ReservationClosed:
		r.fillClosed(e)
	case *quota.UsageRecorded:
		r.fillUsage(e)
	case *quota.ReservationQueued:
		r.fillQueued(e)
	case *quota.ReservationWaiting:
		r.At, r.Reservation = e.At, e.Reservation
		r.addBounds(e.Bounds)
	case *quota.ReservationDequeued:
		r.fillDequeued(e)
	default:
		r.fillLimitEvent(event)
	}
}

// fillLimitEvent is fill for the events that concern no reservation.
func (r *Row) fillLimitEvent(event quota.Event) {
	switch e := event.(type) {
	case *quota.WindowOpened:
		r.At, r.Limit, r.Window = e.At, e.Span.Limit, e.Span
	case *quota.WindowRolled:
		r.At, r.Limit, r.Window, r.LimitUsed = e.At, e.Ended.Limit, e.Ended, e.Used
	case *quota.LimitWarning:
		r.At, r.Limit, r.LimitUsed, r.LimitCapacity, r.Threshold = e.At, e.Limit, e.Spent, e.Capacity, e.Threshold
		r.Window.Start, r.Unit = e.Window, e.Unit
		r.Labels.Account, r.Labels.Team = e.Account, e.Team
	case *quota.ObservationRecorded:
		r.fillObservation(e)
	case *quota.BlockPlaced:
		r.At, r.Reason, r.Target = e.At, e.Reason, blockTarget(e.Target, e.Name)
		r.act(e.Actor)
	case *quota.BlockLifted:
		r.At, r.Target = e.At, blockTarget(e.Target, e.Name)
		r.act(e.Actor)
	case *quota.NoticesAcknowledged:
		r.At = e.At
		r.act(e.Actor)
	}
}

func (r *Row) fillGranted(e *quota.ReservationGranted) {
	r.At, r.Reservation, r.Labels = e.At, e.Reservation, e.Labels
	r.Amount, r.Cost, r.Unpriced = e.Amount, e.CostHeld, e.Unpriced
	r.GrantedAt, r.Expires, r.ConfigVersion = e.At, e.Expires, e.Config
	r.addLimits(e.Holds)
}

// fillQueued shows a place in the queue: expires_at is the end of the wait, the limits are those it waits for.
func (r *Row) fillQueued(e *quota.ReservationQueued) {
	r.At, r.Reservation, r.Labels, r.Amount = e.At, e.Reservation, e.Labels, e.Wish.Amount
	r.Code, r.Limit, r.Requested, r.Available = e.Code, e.Limit, e.Requested, e.Available
	r.Retryable, r.OccurredAt, r.Expires, r.ConfigVersion = true, e.At, e.Until, e.Config
	r.addBounds(e.Bounds)
}

// fillDequeued shows the end of a wait: occurred_at is when it began, so that at - occurred_at is how long it took.
func (r *Row) fillDequeued(e *quota.ReservationDequeued) {
	r.At, r.Reservation, r.Labels, r.Amount = e.At, e.Reservation, e.Labels, e.Wanted
	r.Outcome, r.Reason, r.Target, r.OccurredAt = quota.Outcome(e.Outcome), e.Reason, actorName(e.By), e.QueuedAt
	r.Code, r.Limit = e.Code, e.Limit
}

func (r *Row) addBounds(bounds []quota.Bound) {
	for i := range bounds {
		if limit, _ := bounds[i].WaitsFor(); limit != "" {
			r.addLimit(limit, 0, bounds[i].Units, 0)
		}
	}
}

func (r *Row) fillDenied(e *quota.ReservationDenied) {
	r.At, r.Reservation, r.Labels, r.Amount = e.At, e.Reservation, e.Labels, e.Amount
	r.Code, r.Limit, r.Requested, r.Available = e.Code, e.Limit, e.Requested, e.Available
	r.Retryable, r.RetryAfter, r.ConfigVersion = e.Retryable, e.RetryAfter, e.Config
	r.Reason, r.Unit = string(e.Reason), e.Unit
}

func (r *Row) fillClosed(e *quota.ReservationClosed) {
	r.At, r.Reservation, r.Labels = e.At, e.Reservation, e.Labels
	r.Outcome, r.Reason, r.Target = e.Outcome, e.Reason, actorName(e.By)
	r.Amount, r.Cost = e.Used, e.CostUsed
	r.GrantedTokens, r.GrantedRequests, r.GrantedAt = e.Granted.Tokens.Total(), e.Granted.Requests, e.GrantedAt
	r.addLimits(e.Returned)
}

func (r *Row) fillUsage(e *quota.UsageRecorded) {
	r.At, r.Reservation, r.Labels, r.Standing = e.At, e.Reservation, e.Labels, e.Standing
	r.OccurredAt, r.GrantedAt, r.CallID, r.Batch = e.OccurredAt, e.GrantedAt, e.CallID, e.Batch
	r.Amount = quota.Amount{Tokens: e.Tokens, Requests: e.Requests}
	r.Cost, r.Unpriced, r.Overrun = e.Cost, e.Unpriced, e.Overrun
	r.Source, r.Session, r.Project = e.Source, e.Session, e.Project
	for _, charge := range e.Charges {
		r.addLimit(charge.Limit, charge.Window, charge.Amount, charge.Within)
	}
}

func (r *Row) fillObservation(e *quota.ObservationRecorded) {
	r.At, r.Limit, r.Window, r.Effective = e.At, e.Limit, e.Span, e.Effective
	r.LimitUsed, r.PercentMilli = e.Observation.Used, e.Observation.PercentMilli
	r.LimitCapacity = max(e.Observation.Capacity, e.Capacity)
	r.Tier, r.Source, r.OccurredAt = e.Observation.Tier, e.Observation.Source, e.Observation.At
	r.Reason = string(e.Observation.Signal)
	if e.Window != "" {
		r.Target = "window/" + e.Window
	}
	r.act(e.Actor)
	r.Labels.Account = e.Account
}

func (r *Row) act(a quota.Actor) { r.Labels.Principal, r.Labels.Agent = a.Principal, a.Agent }

func (r *Row) addLimits(amounts []quota.LimitAmount) {
	for _, a := range amounts {
		r.addLimit(a.Limit, 0, a.Amount, 0)
	}
}

func (r *Row) addLimit(id string, window quota.Instant, amount, within int64) {
	r.LimitIDs = append(r.LimitIDs, id)
	r.LimitWindows = append(r.LimitWindows, window)
	r.LimitAmounts = append(r.LimitAmounts, amount)
	r.LimitWithin = append(r.LimitWithin, within)
}

// blockTarget names what a block covers: workspace, team/<name>, and so on.
func blockTarget(target quota.BlockTarget, name string) string {
	return strings.TrimSuffix(string(target)+"/"+name, "/")
}

// actorName names who acted: principal/agent, or the principal alone; empty for nobody.
func actorName(a quota.Actor) string { return strings.TrimSuffix(a.Principal+"/"+a.Agent, "/") }
