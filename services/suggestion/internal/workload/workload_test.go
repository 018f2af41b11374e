package workload

import (
	"fmt"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// noon is a noon of June 2026 in UTC.
const noon = quota.Instant(1_780_315_200_000)

func labels(agent string) quota.Labels {
	return quota.Labels{Principal: "ci", Agent: agent, Team: "a", Provider: "claude", Account: "max", Model: "m", TaskType: "analysis"}
}

func tokens(n int64) quota.Amount { return quota.Amount{Tokens: quota.Tokens{Output: n}} }

func fold(events ...quota.Event) *Log {
	l := New()
	for _, e := range events {
		l.Fold(e)
	}
	return l
}

func granted(at quota.Millis, id, agent string, n int64) quota.Event {
	return &quota.ReservationGranted{At: noon.Add(at), Reservation: id, Labels: labels(agent), Amount: tokens(n), CostHeld: n}
}

func used(at quota.Millis, id string, n int64) quota.Event {
	return &quota.UsageRecorded{At: noon.Add(at), OccurredAt: noon.Add(at), Reservation: id, Standing: quota.StandingOpen, Labels: labels("w"), Tokens: tokens(n).Tokens, Cost: n}
}

func closed(at quota.Millis, id string) quota.Event {
	return &quota.ReservationClosed{At: noon.Add(at), Reservation: id, Labels: labels("w"), Outcome: quota.OutcomeSettled}
}

func denied(at quota.Millis, agent string, n int64) quota.Event {
	return &quota.ReservationDenied{At: noon.Add(at), Labels: labels(agent), Amount: tokens(n), Code: quota.CodeInsufficientQuota, Limit: "max/session", Reason: quota.ReasonHeldBack}
}

func TestAReservation(t *testing.T) {
	t.Parallel()
	jobs := fold(
		granted(0, "r", "w", 1000), used(60_000, "r", 300),
		&quota.ReservationExtended{At: noon.Add(90_000), Reservation: "r", Amount: tokens(500), CostHeld: 500},
		used(120_000, "r", 900), used(120_000, "r", 1), closed(180_000, "r"),
	).Jobs()
	if len(jobs) != 1 {
		t.Fatalf("got %+v", jobs)
	}
	j := jobs[0]
	if j.Arrives != noon || !j.Granted || j.Live || j.Lasts != 180_000 || j.Asked != tokens(1000) || j.Used() != tokens(1201) || j.Held() != tokens(1500) ||
		j.Cost != 1201 || j.CostHeld != 1500 || len(j.Steps) != 3 || j.Steps[1].After != 90_000 || j.Ends() != noon.Add(180_000) {
		t.Errorf("got %+v", j)
	}
}

func TestWorkThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		events []quota.Event
		jobs   int
		tries  int64
		waited quota.Millis
		grant  bool
	}{
		{"refused once", []quota.Event{denied(0, "w", 10)}, 1, 1, 0, false},
		{"refused for an hour", []quota.Event{denied(0, "w", 10), denied(20*quota.Minute, "w", 10), denied(40*quota.Minute, "w", 10)}, 1, 3, 40 * quota.Minute, false},
		{"and then granted", []quota.Event{denied(0, "w", 10), granted(5*quota.Minute, "r", "w", 10)}, 1, 1, 5 * quota.Minute, true},
		{"the next day it is other work", []quota.Event{denied(0, "w", 10), denied(quota.Day, "w", 10)}, 2, 1, 0, false},
		{"another amount is other work", []quota.Event{denied(0, "w", 10), denied(1, "w", 11)}, 2, 1, 0, false},
		{"another agent's is other work", []quota.Event{denied(0, "w", 10), denied(1, "v", 10)}, 2, 1, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			jobs := fold(row.events...).Jobs()
			if len(jobs) != row.jobs || jobs[0].Tries != row.tries || jobs[0].Waited != row.waited || jobs[0].Granted != row.grant || jobs[0].Arrives != noon {
				t.Errorf("got %+v", jobs)
			}
		})
	}
}

// Refused work is given what such work usually uses of what it asks for, and how long it takes.
func TestRefusedWorkIsAsUsual(t *testing.T) {
	t.Parallel()
	var events []quota.Event
	for i := range enough {
		id := fmt.Sprint(i)
		events = append(events, granted(0, id, "w", 1000), used(60_000, id, 250), closed(120_000, id))
	}
	jobs := fold(append(events, denied(200_000, "x", 4000))...).Jobs()
	j := jobs[len(jobs)-1]
	if j.Granted || j.Used().Tokens != tokens(1000).Tokens || j.Lasts != 120_000 || j.Limit != "max/session" || !j.HeldBack {
		t.Errorf("got %+v", j)
	}
}

func TestTheQueue(t *testing.T) {
	t.Parallel()
	queued := &quota.ReservationQueued{At: noon, Reservation: "r", Labels: labels("w"), Wish: quota.Wish{Amount: tokens(10)}, Until: noon.Add(quota.Hour)}
	end := func(o quota.QueueOutcome) quota.Event {
		return &quota.ReservationDequeued{At: noon.Add(600_000), Reservation: "r", Outcome: o}
	}
	if jobs := fold(queued, end(quota.QueueGranted), granted(600_000, "r", "w", 10)).Jobs(); len(jobs) != 1 || jobs[0].Waited != 600_000 || !jobs[0].Granted || jobs[0].MaxWait != quota.Hour {
		t.Errorf("granted: %+v", jobs)
	}
	if jobs := fold(queued, end(quota.QueueTimedOut)).Jobs(); len(jobs) != 1 || jobs[0].Granted || jobs[0].Tries != 1 {
		t.Errorf("timed out: %+v", jobs)
	}
	if jobs := fold(queued, end(quota.QueueCancelled)).Jobs(); len(jobs) != 0 {
		t.Errorf("cancelled: %+v", jobs)
	}
}

// Imported usage lies where it occurred, of one agent and model within five minutes as one job; what is older than the log is not taken.
func TestUsageWithoutAReservation(t *testing.T) {
	t.Parallel()
	usage := func(before quota.Millis) quota.Event {
		return &quota.UsageRecorded{At: noon, OccurredAt: noon.Add(-before), Standing: quota.StandingUnreserved, Labels: labels("w"), Tokens: tokens(7).Tokens, Cost: 7}
	}
	l := fold(usage(2*quota.Day), usage(2*quota.Day+quota.Minute-quota.Hour), usage(2*quota.Day-1000), usage(8*quota.Day))
	jobs := l.Jobs()
	if len(jobs) != 2 || !jobs[0].Unreserved || jobs[0].Cost != 14 || len(jobs[0].Steps) != 1 || jobs[0].Used().Tokens.Output != 14 {
		t.Fatalf("got %+v", jobs)
	}
	if l.From() != noon.Add(-2*quota.Day) {
		t.Errorf("the log is whole from %s on", l.From().Time())
	}
}

func TestOpenReservationsLastUntilNow(t *testing.T) {
	t.Parallel()
	l := fold(granted(0, "r", "w", 1000))
	l.Advance(noon.Add(quota.Hour))
	if jobs := l.Jobs(); len(jobs) != 1 || jobs[0].Lasts != quota.Hour || !jobs[0].Live {
		t.Errorf("got %+v", jobs)
	}
}

// Steps beyond the bound are put together and lose nothing.
func TestStepsAreBounded(t *testing.T) {
	t.Parallel()
	events := []quota.Event{granted(0, "r", "w", 1000)}
	for i := range 50 {
		events = append(events, used(quota.Millis(i*i)*1000, "r", 3))
	}
	j := fold(events...).Jobs()[0]
	if len(j.Steps) != MaxSteps || j.Used() != tokens(150) {
		t.Errorf("got %+v", j.Steps)
	}
	for i := 1; i < len(j.Steps); i++ {
		if j.Steps[i].After < j.Steps[i-1].After {
			t.Errorf("out of order: %+v", j.Steps)
		}
	}
}

// The log forgets what is older than its days, and the oldest beyond its bound; it says from when on it is whole.
func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	l := New()
	for i := range MaxJobs + 3*trimEvery {
		id := fmt.Sprint(i)
		l.Fold(granted(quota.Millis(i)*1000, id, "w", 10))
		l.Fold(closed(quota.Millis(i)*1000+500, id))
	}
	jobs := l.Jobs()
	if len(jobs) != MaxJobs || l.From() != jobs[0].Arrives || len(l.open) != 0 {
		t.Errorf("%d jobs from %s, whole from %s", len(jobs), jobs[0].Arrives.Time(), l.From().Time())
	}
	l.Advance(l.Now().Add(8 * quota.Day))
	if got := l.Jobs(); len(got) != 0 {
		t.Errorf("%d jobs after a week without any", len(got))
	}
}
