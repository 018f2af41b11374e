package quota

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxExpiriesPerTick bounds one tick's events, so that they fit into a commit; what is left is due at once again.
const maxExpiriesPerTick = 500

// tick lets time pass, a step at a time: windows that ended roll over, leases that ended expire, those that end soon are
// warned of; when that is done the queue takes a step. NextDue tells whether there is another.
func (d decider) tick() (events []Event) {
	s, now := d.state, d.env.Now
	if s.nextWindow != 0 && s.nextWindow <= now {
		for i := range s.Config.Limits {
			l := &s.Config.Limits[i]
			if c := s.counters[l.ID]; c.End != 0 && c.End <= now {
				events = append(events, rolled(l, c, s.following(l, c.span(), now), now))
			}
		}
	}
	var due []*Reservation
	s.due.upTo(now, func(r *Reservation) { due = append(due, r) })
	slices.SortFunc(due, func(a, b *Reservation) int {
		if a.Expires != b.Expires {
			return int(a.Expires - b.Expires)
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, r := range due[:min(len(due), maxExpiriesPerTick)] {
		switch t := r.nextTake(); {
		case r.Expires <= now:
			events = append(events, closing(r, now, endOf(r), Actor{}, ""))
		case t != nil && t.At <= now:
			events = append(events, d.takeBack(r, t))
		default:
			events = append(events, &ReservationExpiring{At: now, Reservation: r.ID, Labels: r.Labels, Expires: r.Expires})
		}
	}
	if len(events) > 0 {
		return events
	}
	return d.tickQueue()
}

// rolled ends a window.
func rolled(l *Limit, c *Counter, next WindowSpan, now Instant) *WindowRolled {
	return &WindowRolled{At: now, Ended: c.span(), Used: c.Used, Next: next, Outside: c.outside(l), DriftPace: c.driftPace(l)}
}

func (d decider) acknowledge(c Acknowledge) ([]Event, Result) {
	if len(c.Notices) > MaxNoticesPerAgent {
		return nil, invalid("%d notices in one request, at most %d are allowed", len(c.Notices), MaxNoticesPerAgent)
	}
	known := d.state.notices[c.Actor]
	var seen []uint64
	for _, n := range known {
		if slices.Contains(c.Notices, n.ID) {
			seen = append(seen, n.ID)
		}
	}
	if len(seen) == 0 {
		return nil, Result{}
	}
	return []Event{&NoticesAcknowledged{At: d.env.Now, Actor: c.Actor, Notices: seen}}, Result{}
}

func (d decider) checkBlock(target BlockTarget, name, reason string) error {
	if err := checkText("name", name, "reason", reason); err != nil {
		return err
	}
	if err := target.check(name); err != nil {
		return err
	}
	if _, ok := d.state.Config.Account(name); target == BlockAccount && !ok {
		return errors.New(d.state.Config.UnknownAccount(name, nil))
	}
	return nil
}

// check tells whether a name goes with the target.
func (t BlockTarget) check(name string) error {
	switch t {
	case BlockWorkspace:
		if name != "" {
			return fmt.Errorf("a block of the workspace takes no name")
		}
	case BlockAccount, BlockTeam, BlockAgent:
		if name == "" {
			return fmt.Errorf("name the %s", t)
		}
	default:
		return fmt.Errorf("target must be workspace, account, team or agent, not %q", t)
	}
	return nil
}

func (d decider) block(c Block) ([]Event, Result) {
	if err := d.checkBlock(c.Target, c.Name, c.Reason); err != nil {
		return nil, invalid("%v", err)
	}
	return []Event{&BlockPlaced{At: d.env.Now, Actor: c.Actor, Target: c.Target, Name: c.Name, Reason: c.Reason}}, Result{}
}

func (d decider) unblock(c Unblock) ([]Event, Result) {
	if err := c.Target.check(c.Name); err != nil {
		return nil, invalid("%v", err)
	}
	if _, ok := d.state.blocks[blockKey{c.Target, c.Name}]; !ok {
		return nil, invalid("no hold is on %s; accounts tells what is held back", strings.TrimSpace(fmt.Sprintf("%s %s", c.Target, c.Name)))
	}
	return []Event{&BlockLifted{At: d.env.Now, Actor: c.Actor, Target: c.Target, Name: c.Name}}, Result{}
}

// applyConfig replaces the configuration. A limit that still counts the same way keeps its counter; one that is new or
// counts differently starts over. Live reservations keep the holds they have and get none on new limits.
func (d decider) applyConfig(c ApplyConfig) ([]Event, Result) {
	current := d.state.Config.Version
	if c.IfVersion != 0 && c.IfVersion != current {
		return nil, Result{Code: CodeConflict, Version: current,
			Message: fmt.Sprintf("the configuration is at version %d, not %d; read it again and redo the change", current, c.IfVersion)}
	}
	next := c.Config
	next.Version = current + 1
	e := &ConfigApplied{At: d.env.Now, Actor: c.Actor, Config: next}
	index := newLimitIndex(&next)
	for i := range next.Limits {
		l := &next.Limits[i]
		if old := d.state.index.byID[l.ID]; old == nil || !old.countsLike(l) {
			e.Opened = append(e.Opened, d.state.opening(l, index.zones, d.env.Now))
		}
	}
	return []Event{e}, Result{Version: next.Version}
}

// countsLike tells whether a counter of one limit means the same under another.
func (l *Limit) countsLike(o *Limit) bool {
	a, b := l.Window, o.Window
	a.Burst, b.Burst = 0, 0
	return l.Unit == o.Unit && l.Scope == o.Scope && a == b
}
