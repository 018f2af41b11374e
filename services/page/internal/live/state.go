package live

import (
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// State is how everything stands.
type State struct {
	Workspace string `json:"workspace"`
	Broker    Broker `json:"broker"`
	// AccountsReply is absent until the broker has answered once.
	*wire.AccountsReply
	Outlooks map[string]Outlook `json:"outlooks,omitzero"` // by limit id, where there is something to say
	// Reservations are the open ones, oldest first; MoreReservations tells that there are more.
	Reservations     []wire.ReservationView `json:"reservations"`
	MoreReservations bool                   `json:"more_reservations"`
	// Queue is the front of the queue, and Queued how many wait.
	Queue  []wire.WaitingView `json:"queue"`
	Queued int64              `json:"queued"`
}

// Broker tells whether the allocator answers.
type Broker struct {
	OK    bool      `json:"ok"`
	Since wire.Time `json:"since,omitzero"` // it does not
}

// The levels of a limit.
const (
	LevelLow       = "low"       // nearly used up
	LevelExhausted = "exhausted" // nothing is left
	LevelClosed    = "closed"    // the provider refuses
)

// Outlook is what follows from how a limit stands.
type Outlook struct {
	Level string `json:"level,omitzero"`
	Pace  *Pace  `json:"pace,omitzero"`
}

// Pace continues the spending of a window, ours and that outside, at its average so far.
type Pace struct {
	ElapsedPercent wire.Percent `json:"elapsed_percent"` // of the window
	AtReset        int64        `json:"at_reset"`        // spending when it resets, in the limit's unit
	AtResetPercent wire.Percent `json:"at_reset_percent"`
	ExhaustedAt    wire.Time    `json:"exhausted_at,omitzero"` // when nothing is left, where that is before the reset
}

// When a pace means something: a burst in the first minutes of a week would be taken for the week.
const (
	paceShare = 20 // a twentieth of the window has to be over
	paceLeast = 10 * time.Minute
)

// lowShare of the capacity, in percent, is what counts as nearly used up.
const lowShare = 10

// thousandths of a percent in a whole, as in wire.Percent.
const whole = 100_000

// outlooks tells what there is to say of each limit at a time.
func outlooks(r *wire.AccountsReply) map[string]Outlook {
	all := map[string]Outlook{}
	add := func(limits []wire.Limit) {
		for i := range limits {
			if o := outlookOf(&limits[i], r.Now); o != (Outlook{}) {
				all[limits[i].LimitID] = o
			}
		}
	}
	for i := range r.Accounts {
		add(r.Accounts[i].Limits)
	}
	add(r.Limits)
	return all
}

func outlookOf(l *wire.Limit, now wire.Time) Outlook {
	return Outlook{Level: levelOf(l, now), Pace: paceOf(l, now)}
}

// levelOf grades a limit. A limit per minute that is empty refills by itself.
func levelOf(l *wire.Limit, now wire.Time) string {
	switch {
	case l.ClosedUntil > now:
		return LevelClosed
	case l.Window == string(quota.WindowBucket):
		return ""
	case l.Capacity > 0 && l.Available <= 0:
		return LevelExhausted
	case l.Window == string(quota.WindowConcurrent):
		return ""
	case l.Capacity > 0 && l.Available <= l.Capacity/100*lowShare,
		l.Capacity == 0 && l.UsedPercent != nil && *l.UsedPercent >= whole-whole/100*lowShare:
		return LevelLow
	}
	return ""
}

// paceOf continues the spending; nil where that would mean nothing.
func paceOf(l *wire.Limit, now wire.Time) *Pace {
	length, elapsed := float64(l.ResetsAt-l.StartsAt), float64(now-l.StartsAt)
	spent := float64(l.Used) + float64(l.Outside)
	switch {
	case l.StartsAt == 0 || l.ResetsAt <= l.StartsAt || now >= l.ResetsAt || l.Capacity <= 0 || spent <= 0:
		return nil
	case elapsed < length/paceShare || elapsed < float64(paceLeast.Milliseconds()):
		return nil
	}
	atReset := spent / elapsed * length
	p := &Pace{
		ElapsedPercent: wire.Percent(elapsed / length * whole), AtReset: int64(atReset),
		AtResetPercent: wire.Percent(atReset / float64(l.Capacity) * whole),
	}
	if l.Available <= 0 {
		return p // it is so now; there is no time to tell
	}
	if left := float64(l.Capacity) - spent; atReset > float64(l.Capacity) && left > 0 {
		p.ExhaustedAt = now + wire.Time(left/(spent/elapsed))
	}
	return p
}
