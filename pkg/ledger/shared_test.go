package ledger

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// sharedPlan is a subscription that two teams share. The owners' floor is lent, the other team is bounded in what it may
// have at once, part of the day is held back, and what the week holds is not known.
func sharedPlan(session int64) quota.Config {
	policy := quota.DefaultPolicy()
	policy.QueueSkip, policy.QueueAgeing = 2*quota.Minute, 3*quota.Minute
	window := func(name string, capacity int64, w quota.Window) quota.Limit {
		return quota.Limit{ID: "max-1/" + name, Name: name, Scope: quota.Scope{Account: "max-1"}, Unit: quota.UnitTokens, Capacity: capacity, Window: w}
	}
	limits := []quota.Limit{
		window("session", session, quota.Window{Kind: quota.WindowSession, Duration: 20 * quota.Minute}),
		window("day", 20*session, quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay}),
		window("weekly", 0, quota.Window{Kind: quota.WindowSession, Duration: 7 * quota.Day}),
	}
	limits[1].HoldBack = &quota.HoldBack{Percent: 10, Priority: quota.PriorityHigh}
	return quota.Config{
		Providers:  []quota.Provider{{Name: "claude"}},
		Accounts:   []quota.Account{{ID: "max-1", Provider: "claude", Kind: quota.KindSubscription}},
		Limits:     limits,
		Principals: []quota.Principal{{Name: "ann", Team: "core", MaxPriority: quota.PriorityCritical}},
		Unlisted:   &quota.Principal{Team: "guests", MaxPriority: quota.PriorityNormal},
		Policy:     policy,
		Teams: []quota.Team{
			{Name: "core", Weight: 2, Shares: []quota.Share{{Limit: "max-1/session", FloorPart: 60_000, LendPart: 100_000}}},
			{Name: "guests", FanOut: quota.FanOut{Live: 6, PerAgentPerMinute: 3}},
		},
	}
}

// session is the capacity of the plan's session in tokens.
const session = 1_000_000

// share runs a plan that is shared: places in the queue that end in every way, preemption, refusals of the provider, and
// usage that nobody reserved.
func (s *scribe) share(commits int) {
	s.t.Helper()
	op := quota.Actor{Principal: "op"}
	s.do(quota.ApplyConfig{Actor: op, Config: sharedPlan(session)})
	s.commit()
	var ids []string
	for n := range commits {
		for range 1 + s.rand.IntN(3) {
			s.now = s.now.Add(quota.Millis(s.rand.IntN(30_000)))
			ids = s.shared(ids)
		}
		switch n % 30 {
		case 10: // what waits for more than this is refused
			s.do(quota.ApplyConfig{Actor: op, Config: sharedPlan(session / 10)})
		case 11:
			s.do(quota.ApplyConfig{Actor: op, Config: sharedPlan(session)})
		case 15:
			s.do(quota.Block{Actor: op, Target: quota.BlockTeam, Name: "guests", Reason: "demo"})
		case 16:
			s.do(quota.Unblock{Actor: op, Target: quota.BlockTeam, Name: "guests"})
		case 20:
			s.claim()
		}
		s.commit()
	}
}

// sharer is an agent of the plan: two are of the team with the floor, two of the other.
func sharer(i int) quota.Actor {
	return quota.Actor{Principal: []string{"ann", "ann", "bob", "bob"}[i], Agent: fmt.Sprintf("agent-%d", i)}
}

// shared does one thing that agents of the plan do.
func (s *scribe) shared(ids []string) []string {
	s.t.Helper()
	i := s.rand.IntN(4)
	by := sharer(i)
	var id string
	if len(ids) > 0 {
		id = ids[max(0, len(ids)-1-s.rand.IntN(6))]
		if live := s.ledger.State().Reservations(false, func(*quota.Reservation) bool { return true }); len(live) > 0 && s.rand.IntN(4) > 0 {
			id = live[s.rand.IntN(len(live))].ID
		}
		var owner int
		if _, err := fmt.Sscanf(id, "agent-%d/", &owner); err != nil {
			s.t.Fatal(err)
		}
		by = sharer(owner)
	}
	items := []quota.UsageItem{{CallID: fmt.Sprintf("call-%d", s.next), Tokens: tokens(int64(s.rand.IntN(40_000)))}}
	switch draw := s.rand.IntN(12); {
	case draw < 5 || id == "":
		id = fmt.Sprintf("agent-%d/%d", i, s.next)
		c := quota.Reserve{
			Actor: sharer(i), Reservation: id, Provider: "claude", Model: "opus-4", Lease: quota.Minute * quota.Millis(2+s.rand.IntN(9)),
			Amount: quota.Amount{Tokens: tokens(int64(40_000 + s.rand.IntN(250_000)))}, Preemptible: i >= 2 && s.rand.IntN(6) > 0,
			Priority: quota.Priority(1 + s.rand.IntN(3)), MaxWait: quota.Minute * quota.Millis(max(0, s.rand.IntN(12)-6)),
		}
		if s.rand.IntN(4) == 0 {
			c.MinTokens = 40_000
		}
		if s.do(c); c.MaxWait > 0 || s.live(id) {
			ids = append(ids, id)
		}
	case draw < 7:
		s.do(quota.Report{Actor: by, Reservation: id, Items: items})
	case draw < 9:
		s.do(quota.Settle{Actor: by, Reservation: id, Items: items})
	case draw == 9:
		s.do([]quota.Command{
			quota.Release{Actor: by, Reservation: id}, quota.Revoke{Actor: quota.Actor{Principal: "op"}, Reservation: id, Reason: "stuck"},
			quota.Extend{Actor: by, Reservation: id, Amount: quota.Amount{Tokens: tokens(8_000)}}, quota.Acknowledge{Actor: by, Notices: s.notices(by)},
		}[s.rand.IntN(4)])
	case draw == 10:
		items[0].Source, items[0].Session, items[0].Project = "transcript:claude-code", "session-1", "shop"
		s.do(quota.Report{Actor: by, Account: "max-1", Model: "opus-4", Items: items})
	default:
		s.said(by)
	}
	return ids
}

// said hands in what the provider says.
func (s *scribe) said(by quota.Actor) {
	s.t.Helper()
	o := quota.Observe{Actor: by, Account: "max-1", Window: []string{"session", "weekly", "weekly", "opus", ""}[s.rand.IntN(5)], Source: "headers"}
	switch kind := s.rand.IntN(5); {
	case kind == 0:
		o.Signal = quota.SignalOverloaded
	case kind == 1 || o.Window == "":
		o.Signal, o.RetryAfter = quota.SignalExhausted, quota.Second*quota.Millis(1+s.rand.IntN(90))
	default:
		percent := min(90, int64(s.now.Sub(t0)/quota.Minute)) * 1000
		o.PercentMilli = &percent
	}
	s.do(o)
}

func (s *scribe) live(id string) bool {
	return len(s.ledger.State().Reservations(false, func(r *quota.Reservation) bool { return r.ID == id })) > 0
}

func (s *scribe) notices(by quota.Actor) (ids []uint64) {
	for _, n := range s.ledger.State().Notices(by) {
		ids = append(ids, n.ID)
	}
	return ids
}

// TestSharedPlanHasEveryKind: what a golden ledger does not have it does not hold a later version to.
func TestSharedPlanHasEveryKind(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(goldenDir, sharedName+".ledger"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := readLog(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, entry := range log {
		c, err := Decode(entry.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range c.Events {
			seen[event.Kind()]++
			switch e := event.(type) {
			case *quota.ReservationClosed:
				seen["closed "+string(e.Outcome)]++
			case *quota.ReservationDequeued:
				seen["dequeued "+string(e.Outcome)]++
			case *quota.UsageRecorded:
				seen["usage "+string(e.Standing)]++
			case *quota.ObservationRecorded:
				seen[fmt.Sprintf("said %s, known %t", e.Observation.Signal, e.Limit != "")]++
			case *quota.ReservationDenied:
				seen["denied "+string(e.Reason)]++
			}
		}
	}
	const last = kindNumber(20)
	for n := kindNumber(1); n <= last; n++ {
		event, err := n.blank()
		if err != nil {
			t.Fatal(err)
		}
		if seen[event.Kind()] == 0 {
			t.Errorf("no %s", event.Kind())
		}
	}
	for _, want := range []string{
		"closed settled", "closed released", "closed expired", "closed revoked", "closed preempted",
		"dequeued granted", "dequeued cancelled", "dequeued timed_out", "dequeued refused", "usage open", "usage late", "usage unreserved",
		"said exhausted, known true", "said exhausted, known false", "said overloaded, known false", "said , known true", "said , known false",
		"denied depleted", "denied held_back", "denied closed",
	} {
		if seen[want] == 0 {
			t.Errorf("no %s", want)
		}
	}
}

// summarizeSharing adds to a summary who waits, what is being taken back, and what the provider said; nothing where there
// is none of it.
func summarizeSharing(b *strings.Builder, s *quota.State, at quota.Instant) {
	waiting, _ := s.Queue(at, 0, quota.MaxQueued, func(*quota.Waiting) bool { return true })
	for _, w := range waiting {
		fmt.Fprintf(b, "waiting %s from %d to %d kept %t\n", w.Reservation, w.Waiting.Since, w.Waiting.Until, w.Kept)
	}
	for _, r := range s.Reservations(false, func(r *quota.Reservation) bool { return r.Preempting }) {
		fmt.Fprintf(b, "preempting %s until %d\n", r.ID, r.Expires)
	}
	for _, a := range s.Config.Accounts {
		if w := s.Watch(a.ID); w.Overloads > 0 || w.ClosedUntil > 0 || len(w.Unknown) > 0 {
			fmt.Fprintf(b, "account %s overloads %d closed until %d unknown windows %d\n", a.ID, w.Overloads, w.ClosedUntil, len(w.Unknown))
		}
	}
	for _, v := range s.Limits(at) {
		if v.ClosedUntil > 0 || v.Learned != nil {
			fmt.Fprintf(b, "limit %s closed until %d learned %t\n", v.Limit.ID, v.ClosedUntil, v.Learned != nil)
		}
	}
}
