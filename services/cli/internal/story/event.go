package story

import (
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// tell adds what an event says of the reservation.
func (s *Story) tell(event quota.Event) {
	switch e := event.(type) {
	case *quota.ReservationGranted:
		if e.Reservation == s.ID {
			s.granted(e)
		}
	case *quota.ReservationQueued:
		if e.Reservation == s.ID {
			s.queued(e)
		}
	case *quota.ReservationWaiting:
		if e.Reservation == s.ID {
			s.waiting(e)
		}
	case *quota.ReservationDequeued:
		if e.Reservation == s.ID {
			s.dequeued(e)
		}
	case *quota.ReservationDenied:
		if e.Reservation == s.ID && s.ID != "" {
			s.say(e.At, s.tried(e.Steps), "an extension was refused (%s): %s has %s of %s", e.Code, e.Limit, s.of(e.Limit, e.Available), s.of(e.Limit, e.Requested))
		}
	case *quota.ReservationExtended:
		if e.Reservation == s.ID {
			s.Granted += e.Amount.Tokens.Total()
			s.say(e.At, nil, "extended by %s tokens, until %s", screen.Count(e.Amount.Tokens.Total()), s.clock(e.Expires))
		}
	case *quota.ReservationExpiring:
		if e.Reservation == s.ID {
			s.say(e.At, nil, "warned that it ends at %s unless there is a sign of life", s.clock(e.Expires))
		}
	case *quota.ReservationPreempting:
		if e.Reservation == s.ID {
			s.preempting(e)
		}
	case *quota.ReservationShrunk:
		if e.Reservation == s.ID {
			s.shrunk(e)
		}
	case *quota.UsageRecorded:
		if e.Reservation == s.ID && s.ID != "" {
			s.usage(e)
		}
	case *quota.ReservationClosed:
		if e.Reservation == s.ID {
			s.closed(e)
		}
	}
}

func (s *Story) granted(e *quota.ReservationGranted) {
	s.is("granted", &e.Labels)
	s.Granted = e.Amount.Tokens.Total()
	var why []string
	if e.QueuedAt != 0 {
		why = append(why, fmt.Sprintf("from the queue, after %s", e.At.Sub(e.QueuedAt).Duration()))
	}
	why = append(why, s.tried(e.Steps)...)
	if s.asked > s.Granted {
		s.Verdict = "shrunk"
		why = append(why, fmt.Sprintf("%s were asked for, and less was acceptable", screen.Count(s.asked)))
	}
	for _, t := range e.Steps {
		if t.Taken && t.Rung == quota.RungSmaller {
			s.Verdict = "shrunk"
			s.Helpful = append(s.Helpful, "for all of it: another account that is acceptable, or waiting for the limit in the way")
		}
	}
	for _, h := range e.Holds {
		if h.Amount > 0 {
			why = append(why, fmt.Sprintf("holds %s on %s", s.of(h.Limit, h.Amount), h.Limit))
		}
	}
	if len(e.Passed) > 0 {
		why = append(why, fmt.Sprintf("passed %d in the queue that it was smaller than", len(e.Passed)))
	}
	s.say(e.At, why, "granted %s tokens on %s for %s, %s priority, until %s", screen.Count(s.Granted), e.Labels.Account, e.Labels.Model, e.Labels.Priority, s.clock(e.Expires))
}

func (s *Story) queued(e *quota.ReservationQueued) {
	s.is("queued", &e.Labels)
	s.asked, s.queuedAt = e.Wish.Amount.Tokens.Total(), e.At
	why := s.tried(e.Steps)
	if e.Limit != "" && len(why) == 0 {
		why = append(why, fmt.Sprintf("%s has %s of %s", e.Limit, s.of(e.Limit, e.Available), s.of(e.Limit, e.Requested)))
	}
	why = append(why, s.owed(e.Bounds)...)
	if e.GrantAt != 0 {
		why = append(why, "a grant was predicted for "+s.between(e.GrantFrom, e.GrantTo))
	}
	s.say(e.At, why, "%s tokens of %s priority were queued at place %d, until %s", screen.Count(s.asked), e.Labels.Priority, e.Position, s.clock(e.Until))
	if e.Available > 0 && e.Available < e.Requested && e.Wish.MinTokens == 0 {
		s.Helpful = append(s.Helpful, fmt.Sprintf("min_tokens: %s of %s was free on %s at once", s.of(e.Limit, e.Available), s.of(e.Limit, e.Requested), e.Limit))
	}
}

func (s *Story) waiting(e *quota.ReservationWaiting) {
	var why []string
	for i, b := range e.Bounds {
		need := fmt.Sprintf("%s on %s", s.of(b.On, b.Units), b.On)
		if i > 0 && b.Choice != 0 && b.Choice == e.Bounds[i-1].Choice {
			why[len(why)-1] += ", and " + need
		} else {
			why = append(why, "needs "+need)
		}
	}
	why = append(why, s.owed(e.Bounds)...)
	if e.Kept {
		s.say(e.At, why, "was passed long enough: the limit is kept for it from now on")
		return
	}
	s.say(e.At, why, "still waits")
}

func (s *Story) dequeued(e *quota.ReservationDequeued) {
	if e.Outcome == quota.QueueGranted {
		return // the grant follows
	}
	s.is(string(e.Outcome), &e.Labels)
	waited := e.At.Sub(e.QueuedAt).Duration()
	switch e.Outcome {
	case quota.QueueCancelled:
		s.say(e.At, nil, "cancelled after %s in the queue%s%s", waited, by(e.By), reason(e.Reason))
	case quota.QueueTimedOut:
		s.say(e.At, s.tried(e.Steps), "its max_wait was over after %s", waited)
		s.Helpful = append(s.Helpful, "a longer max_wait, or a higher priority")
	default:
		s.say(e.At, s.tried(e.Steps), "refused after %s in the queue%s", waited, reason(e.Reason))
	}
}

func (s *Story) usage(e *quota.UsageRecorded) {
	s.Used += e.Tokens.Total()
	if s.Verdict == "" && e.Standing == quota.StandingUnknown { // nothing was reserved under this id; the usage counts all the same
		s.is("unknown", &e.Labels)
		s.Helpful = append(s.Helpful, "reporting under the id that a reserve gave, as the agent that reserved")
	}
	if e.Overrun > 0 {
		s.say(e.At, nil, "used %s tokens, %s of them beyond what was granted", screen.Count(e.Tokens.Total()), screen.Count(e.Overrun))
		return
	}
	s.say(e.At, nil, "used %s tokens", screen.Count(e.Tokens.Total()))
}

func (s *Story) closed(e *quota.ReservationClosed) {
	s.is(string(e.Outcome), &e.Labels)
	var why []string
	why = append(why, s.returned(e.Returned)...)
	switch e.Outcome {
	case quota.OutcomeExpired:
		why = append([]string{"no report, extension or settlement came before " + s.clock(e.Expires)}, why...)
		s.Helpful = append(s.Helpful, "a report before the lease ended: also an empty one is a sign of life")
	case quota.OutcomeRevoked:
		why = append([]string{"taken back" + by(e.By) + reason(e.Reason)}, why...)
	default:
		if e.Reason != "" {
			why = append([]string{"the reason given" + reason(e.Reason)}, why...)
		}
	}
	s.say(e.At, why, "%s after %s: %s of %s tokens used", e.Outcome, e.At.Sub(e.GrantedAt).Duration(), screen.Count(e.Used.Tokens.Total()), screen.Count(e.Granted.Tokens.Total()))
}

func by(a quota.Actor) string {
	switch {
	case a == quota.Actor{}:
		return ""
	case a.Agent == "":
		return " by " + a.Principal
	default:
		return " by " + a.Agent
	}
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// clock writes a time of the ledger.
func (s *Story) clock(at quota.Instant) string {
	return at.Time().In(s.zone).Format("2006-01-02 15:04:05Z07:00")
}

// between writes a span of the ledger's time, which may be within a second.
func (s *Story) between(from, to quota.Instant) string {
	if first, last := s.clock(from), s.clock(to); first != last {
		return first + " to " + last
	}
	return s.clock(to)
}
