package quota

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Snapshot is a state in a form that can be stored: a keyframe. Its order is deterministic, so that equal states give
// equal snapshots. Its cbor numbers are never reused.
type Snapshot struct {
	Now          Instant        `cbor:"1,keyasint,omitempty"`
	Config       Config         `cbor:"2,keyasint,omitempty"`
	Counters     []Counter      `cbor:"3,keyasint,omitempty"`
	Reservations []Reservation  `cbor:"4,keyasint,omitempty"`
	Closed       []Reservation  `cbor:"5,keyasint,omitempty"` // oldest first
	Blocks       []BlockPlaced  `cbor:"6,keyasint,omitempty"`
	Notices      []AgentNotices `cbor:"7,keyasint,omitempty"`
	NoticeSeq    uint64         `cbor:"8,keyasint,omitempty"`
	Calls        []KnownCall    `cbor:"9,keyasint,omitempty"` // oldest first
	Totals       Totals         `cbor:"10,keyasint,omitempty"`
	Watches      []Watch        `cbor:"60,keyasint,omitempty"`  // by account
	Queue        []Waiting      `cbor:"40,keyasint,omitempty"`  // oldest first
	Sticky       []Sticky       `cbor:"41,keyasint,omitempty"`  // oldest first
	Uses         []TeamUse      `cbor:"50,keyasint,omitempty"`  // by team
	Pacers       []Pacer        `cbor:"51,keyasint,omitempty"`  // by team and agent
	Learners     []Learner      `cbor:"61,keyasint,omitempty"`  // by limit
	Foresight    []Foresight    `cbor:"130,keyasint,omitempty"` // by provider and priority
}

// AgentNotices are the pending notices of one agent.
type AgentNotices struct {
	Actor   Actor    `cbor:"1,keyasint,omitempty"`
	Notices []Notice `cbor:"2,keyasint,omitempty"`
}

// KnownCall is what is known of one provider call.
type KnownCall struct {
	Principal string `cbor:"1,keyasint,omitempty"`
	CallID    string `cbor:"2,keyasint,omitempty"`
	Tokens    Tokens `cbor:"3,keyasint,omitempty"`
}

// Snapshot copies the state.
func (s *State) Snapshot() *Snapshot {
	n := s.Copy()
	n.Arrange()
	return n
}

// Copy is Snapshot without the order of the live reservations, which [Snapshot.Arrange] gives them: nothing can be decided
// while a copy is made, and there may be MaxLiveReservations to be sorted.
func (s *State) Copy() *Snapshot {
	n := &Snapshot{Now: s.Now, Config: s.Config, Blocks: s.Blocks(), NoticeSeq: s.noticeSeq, Totals: s.totals}
	for i := range s.Config.Limits {
		c := *s.counters[s.Config.Limits[i].ID]
		c.Earlier, c.Teams, c.Reclaims = slices.Clone(c.Earlier), slices.Clone(c.Teams), slices.Clone(c.Reclaims)
		n.Counters = append(n.Counters, c)
	}
	n.Reservations = s.copyLive()
	n.Closed = make([]Reservation, 0, s.closedOrder.len())
	for _, id := range s.closedOrder.all() {
		n.Closed = append(n.Closed, s.closed[id].copy())
	}
	for actor, list := range s.notices {
		n.Notices = append(n.Notices, AgentNotices{actor, slices.Clone(list)})
	}
	slices.SortFunc(n.Notices, func(a, b AgentNotices) int {
		return cmp.Or(cmp.Compare(a.Actor.Principal, b.Actor.Principal), cmp.Compare(a.Actor.Agent, b.Actor.Agent))
	})
	n.Calls = make([]KnownCall, 0, s.callOrder.len())
	for _, key := range s.callOrder.all() {
		n.Calls = append(n.Calls, KnownCall{key.principal, key.call, s.calls[key]})
	}
	n.Watches, n.Learners = s.watchesInOrder(), s.learnersInOrder()
	n.Uses, n.Pacers, n.Foresight = s.usesInOrder(), s.pacersInOrder(), s.foresightInOrder()
	for _, w := range s.queue.inOrder() {
		n.Queue = append(n.Queue, w.copy())
	}
	for _, key := range s.stickyOrder.all() {
		n.Sticky = append(n.Sticky, s.sticky[key])
	}
	return n
}

// copyLive copies the live reservations in any order, with two allocations.
func (s *State) copyLive() []Reservation {
	var holds int
	for _, r := range s.reservations {
		holds += len(r.Holds)
	}
	list, room := make([]Reservation, 0, len(s.reservations)), make([]Hold, 0, holds)
	for _, r := range s.reservations {
		from := len(room)
		room = append(room, r.Holds...)
		list = append(list, *r)
		list[len(list)-1].Holds = slices.Clip(room[from:])
	}
	return list
}

// Arrange puts the live reservations in order, oldest first. The snapshot must not be in use elsewhere meanwhile.
func (n *Snapshot) Arrange() {
	byAge := func(a, b *Reservation) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID)) }
	order := make([]*Reservation, len(n.Reservations)) // of pointers: a reservation is large
	sorted := true
	for i := range n.Reservations {
		order[i] = &n.Reservations[i]
		sorted = sorted && (i == 0 || byAge(order[i-1], order[i]) < 0)
	}
	if sorted {
		return
	}
	slices.SortFunc(order, byAge)
	list := make([]Reservation, len(order))
	for i, r := range order {
		list[i] = *r
	}
	n.Reservations = list
}

// Restore makes a state of a snapshot. It fails with every invariant that the snapshot breaks.
func Restore(n *Snapshot) (*State, error) {
	s := NewState()
	s.Now, s.Config, s.noticeSeq, s.totals = n.Now, n.Config, n.NoticeSeq, n.Totals
	s.index = newLimitIndex(&s.Config)
	for _, c := range n.Counters {
		c.Earlier, c.Teams, c.Reclaims = slices.Clone(c.Earlier), slices.Clone(c.Teams), slices.Clone(c.Reclaims)
		for i := range c.Teams {
			c.Teams[i].Held = 0 // counted below
		}
		s.counters[c.Limit] = &c
	}
	s.findNextWindow()
	for i := range n.Reservations {
		s.restoreLive(n.Reservations[i].copy())
	}
	for i := range n.Closed {
		r := n.Closed[i].copy()
		s.closed[r.ID] = &r
		s.closedOrder.push(r.ID)
	}
	for _, b := range n.Blocks {
		s.blocks[blockKey{b.Target, b.Name}] = b
	}
	for _, a := range n.Notices {
		s.notices[a.Actor] = slices.Clone(a.Notices)
	}
	for _, c := range n.Calls {
		key := callKey{c.Principal, c.CallID}
		s.calls[key] = c.Tokens
		s.callOrder.push(key)
	}
	for _, u := range n.Uses {
		s.uses[u.Team] = &u
	}
	for _, f := range n.Foresight {
		s.foresight[foresightKey{f.Provider, f.Priority}] = &f
	}
	for _, p := range n.Pacers {
		s.pacers[pacerKey{p.Team, p.Actor}] = p.Until
	}
	for i := range n.Watches {
		w := n.Watches[i].copy()
		s.watches[w.Account] = &w
	}
	for i := range n.Queue {
		w := n.Queue[i].copy()
		s.enqueue(&w)
	}
	for _, k := range n.Sticky {
		key := stickyKey{k.Actor, k.Provider}
		s.sticky[key] = k
		s.stickyOrder.push(key)
	}
	for i := range n.Learners {
		learner := n.Learners[i].copy()
		s.learners[learner.Limit] = &learner
	}
	if broken := s.Check(); len(broken) > 0 {
		errs := make([]error, len(broken))
		for i, b := range broken {
			errs[i] = errors.New(b)
		}
		return nil, fmt.Errorf("the snapshot breaks invariants: %w", errors.Join(errs...))
	}
	return s, nil
}

// restoreLive takes a live reservation up, and counts what it holds.
func (s *State) restoreLive(r Reservation) {
	s.live(&r)
	s.heldByTeam[r.Labels.Team] += r.unused()
	for _, h := range r.Holds {
		if l := s.index.byID[h.Limit]; l != nil {
			s.countTeam(l, s.counters[h.Limit], &r.Labels, 0, h.Held)
		}
	}
	s.relendAll(&r)
	s.schedule(&r)
}
