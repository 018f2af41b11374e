// Package story tells from a ledger's commits, in plain words, why a reservation was granted, shrunk, queued,
// preempted or refused.
//
// It guarantees that everything it says stands in the log: it decides nothing again. A refused reserve has no
// reservation, so it is found by its request id: the log knows requests by a hash of principal and id, and the
// principals are those that the log names.
package story

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// Story is what the log says of one reservation or request.
type Story struct {
	ID       string        `json:"id"`
	Verdict  string        `json:"verdict"` // granted, shrunk, queued, cancelled, timed_out, preempted, refused, unknown (usage under an id that nobody reserved), or how it was closed; empty for not found
	Labels   quota.Labels  `json:"-"`
	Who      string        `json:"who"`
	Lines    []Line        `json:"lines"`
	Helpful  []string      `json:"would_have_helped"`
	Used     int64         `json:"used_tokens"`
	Granted  int64         `json:"granted_tokens"`
	Commits  []uint64      `json:"commits"`
	asked    int64         // of a queued one
	queuedAt quota.Instant // 0 for never
	zone     *time.Location
	limits   map[string]known
}

// Line is one thing that happened.
type Line struct {
	At   quota.Instant `json:"at_ms"`
	Text string        `json:"text"`
	Why  []string      `json:"why,omitempty"`
}

// Reader gathers a story from commits, which it must be given in order.
type Reader struct {
	story      Story
	request    string                // as the log hashes it; empty where the id is none of a request
	principals map[string]ledger.Key // of the wanted request, by principal
}

// NewReader looks for a reservation or a request by its id. config is the one that held where the log begins; times in the
// texts are of a zone.
func NewReader(id string, config *quota.Config, zone *time.Location) *Reader {
	r := &Reader{story: Story{ID: id, Lines: []Line{}, Helpful: []string{}, Commits: []uint64{}, zone: zone, limits: map[string]known{}}, principals: map[string]ledger.Key{}}
	if request, err := wire.ParseRequestID(id); err == nil {
		r.request = string(request[:])
	}
	r.meetConfig(config)
	return r
}

// Story is what was found so far; it has no lines where there was nothing.
func (r *Reader) Story() *Story { return &r.story }

// Add looks at a commit.
func (r *Reader) Add(c *ledger.Commit) {
	before := len(r.story.Lines)
	for _, e := range c.Events {
		r.meet(e)
		r.story.tell(e)
	}
	for i := range c.Answers {
		if r.wanted(c.Answers[i].Key) {
			r.story.answered(c, &c.Answers[i])
		}
	}
	if len(r.story.Lines) > before {
		r.story.Commits = append(r.story.Commits, c.Number)
	}
}

// meet remembers principals.
func (r *Reader) meet(e quota.Event) {
	switch e := e.(type) {
	case *quota.ConfigApplied:
		r.meetConfig(&e.Config)
	case *quota.ReservationGranted:
		r.know(e.Labels.Principal)
	case *quota.ReservationDenied:
		r.know(e.Labels.Principal)
	case *quota.ReservationQueued:
		r.know(e.Labels.Principal)
	}
}

func (r *Reader) meetConfig(c *quota.Config) {
	for _, p := range c.Principals {
		r.know(p.Name)
	}
	r.story.know(c)
}

func (r *Reader) know(principal string) {
	if _, known := r.principals[principal]; !known && r.request != "" {
		r.principals[principal] = ledger.KeyOf(principal, r.request)
	}
}

func (r *Reader) wanted(key ledger.Key) bool {
	for _, k := range r.principals {
		if k == key {
			return true
		}
	}
	return false
}

func (s *Story) say(at quota.Instant, why []string, format string, args ...any) {
	s.Lines = append(s.Lines, Line{At: at, Text: fmt.Sprintf(format, args...), Why: why})
}

// is sets whose story it is and how it stands.
func (s *Story) is(verdict string, l *quota.Labels) {
	s.Verdict, s.Labels = verdict, *l
	s.Who = l.Agent
	if l.Team != "" {
		s.Who += " of team " + l.Team
	}
}

// answered tells of a request that was refused; what was granted stands in events of its own.
func (s *Story) answered(c *ledger.Commit, a *ledger.Answer) {
	if a.Result.Reservation != "" && a.Result.OK() {
		s.ID = a.Result.Reservation // the request's reservation, from here on
		if len(s.Lines) == 0 {
			for _, e := range c.Events {
				s.tell(e)
			}
		}
		return
	}
	if a.Result.OK() {
		return
	}
	var steps []quota.Step
	for _, e := range c.Events {
		if d, ok := e.(*quota.ReservationDenied); ok && d.Code == a.Result.Code && d.Limit == a.Result.Limit && d.Requested == a.Result.Requested {
			s.is("refused", &d.Labels)
			steps = d.Steps
		}
	}
	s.Verdict = "refused"
	s.say(c.At, s.tried(steps), "refused (%s): %s", a.Result.Code, a.Result.Message)
	s.refusal(&a.Result, c.At)
}

// tried words the rungs of the ladder.
func (s *Story) tried(steps []quota.Step) (why []string) {
	for _, t := range steps {
		switch {
		case t.Skipped != "":
			why = append(why, fmt.Sprintf("%s: not tried, %s", t.Rung, t.Skipped))
		case t.Taken:
			why = append(why, fmt.Sprintf("%s on %s: granted", t.Rung, place(&t)))
		default:
			why = append(why, fmt.Sprintf("%s on %s: %s has %s of %s", t.Rung, place(&t), cmp.Or(t.Limit, string(t.Code)), s.of(t.Limit, t.Available), s.of(t.Limit, t.Requested)))
		}
	}
	return why
}

func place(t *quota.Step) string { return strings.TrimSpace(t.Account + " " + t.Model) }

// returned words what went back to limits.
func (s *Story) returned(list []quota.LimitAmount) (why []string) {
	for _, back := range list {
		if back.Amount > 0 {
			why = append(why, fmt.Sprintf("returned %s to %s", s.of(back.Limit, back.Amount), back.Limit))
		}
	}
	return why
}

// of writes units of a limit: money as money.
func (s *Story) of(limit string, n int64) string {
	if s.limits[limit].unit == quota.UnitMicroUSD {
		return quota.Dollars(n)
	}
	return screen.Count(n)
}
