package quota

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// FanOut bounds how many reservations a team and each of its agents may have, and how quickly they may ask for more. 0 is
// no bound.
type FanOut struct {
	Live              int64 `cbor:"1,keyasint,omitempty"` // live at once, of the team
	LivePerAgent      int64 `cbor:"2,keyasint,omitempty"`
	PerMinute         int64 `cbor:"3,keyasint,omitempty"` // new ones a minute, of the team; as many at once
	PerAgentPerMinute int64 `cbor:"4,keyasint,omitempty"`
}

// MaxPerMinute bounds the rates: a millisecond is the finest time there is.
const MaxPerMinute = 60_000

// Pacer is when the rate of an actor's or a team's new reservations is used up to: the theoretical arrival time of the
// generic cell rate algorithm (ITU-T I.371), with a minute's burst.
type Pacer struct {
	Team  string  `cbor:"1,keyasint,omitempty"` // of a team; empty for an agent
	Actor Actor   `cbor:"2,keyasint,omitempty"`
	Until Instant `cbor:"3,keyasint,omitempty"`
}

// pacerKey is a Pacer's team or actor.
type pacerKey struct {
	team  string
	actor Actor
}

// sweepPacers is how many pacers there may be before those that bound nothing any more are forgotten.
const sweepPacers = 10_000

// fannedOut refuses an agent that has, or asks for, too many reservations at once.
func (s *State) fannedOut(l *Labels, now Instant) *refusal {
	t := s.Config.team(l.Team)
	if t == nil || t.FanOut == (FanOut{}) {
		return nil
	}
	actor := Actor{l.Principal, l.Agent}
	if r := s.tooMany(t.FanOut.Live, int64(s.liveByTeam[l.Team]), "team "+l.Team, watchFanOutTeam+l.Team); r != nil {
		return r
	}
	if r := s.tooMany(t.FanOut.LivePerAgent, int64(s.liveByAgent[actor]), "agent "+l.Agent, watchFanOutAgent+actor.key()); r != nil {
		return r
	}
	if r := s.tooQuick(t.FanOut.PerMinute, pacerKey{team: l.Team}, now, "team "+l.Team, watchFanOutTeam+l.Team); r != nil {
		return r
	}
	return s.tooQuick(t.FanOut.PerAgentPerMinute, pacerKey{actor: actor}, now, "agent "+l.Agent, watchFanOutAgent+actor.key())
}

// key names an actor in what queued reservations wait for.
func (a Actor) key() string { return a.Principal + "\x00" + a.Agent + "\x00" }

func (s *State) tooMany(most, live int64, who, watch string) *refusal {
	if most == 0 || live < most {
		return nil
	}
	return &refusal{
		code: CodeConcurrentLimitExceeded, limit: "fan-out of " + who, requested: 1, capacity: most, retryable: true,
		retryAfter: s.untilExpiry(s.Now), watch: watch,
		message: fmt.Sprintf("%s has %d live reservations of at most %d: settle or release one, or wait in the queue", who, live, most),
	}
}

func (s *State) tooQuick(perMinute int64, key pacerKey, now Instant, who, watch string) *refusal {
	at := s.pacedUntil(perMinute, key)
	if at <= now {
		return nil
	}
	return &refusal{
		code: CodeConcurrentLimitExceeded, limit: "rate of " + who, requested: 1, capacity: perMinute, retryable: true,
		retryAfter: at.Sub(now), watch: watch,
		message: fmt.Sprintf("%s asks for more than %d reservations a minute: ask for larger ones, or less often", who, perMinute),
	}
}

// pacedUntil is when a rate allows the next reservation; 0 for no rate.
func (s *State) pacedUntil(perMinute int64, key pacerKey) Instant {
	until, paced := s.pacers[key]
	if perMinute == 0 || !paced {
		return 0
	}
	interval := max(1, Minute/Millis(perMinute))
	return until.Add(interval - Minute)
}

// paceGrant counts a new reservation against the rates of its team and agent.
func (s *State) paceGrant(l *Labels, at Instant) {
	t := s.Config.team(l.Team)
	if t == nil {
		return
	}
	for _, p := range []struct {
		perMinute int64
		key       pacerKey
	}{{t.FanOut.PerMinute, pacerKey{team: l.Team}}, {t.FanOut.PerAgentPerMinute, pacerKey{actor: Actor{l.Principal, l.Agent}}}} {
		if p.perMinute > 0 {
			s.pacers[p.key] = max(s.pacers[p.key], at).Add(max(1, Minute/Millis(p.perMinute)))
		}
	}
	if len(s.pacers) > sweepPacers {
		for key, until := range s.pacers {
			if until <= at {
				delete(s.pacers, key)
			}
		}
	}
}

// fanOutClearedAt is when what stands in the way of a line is gone by time: now, later, or 0 for not by time.
func (s *State) fanOutClearedAt(on string) Instant {
	l := s.head(s.queue.lines[on]).Labels
	r := s.fannedOut(&l, s.Now)
	switch {
	case r == nil || r.watch != on:
		return s.Now
	case strings.HasPrefix(r.limit, "rate of "):
		return s.Now.Add(r.retryAfter)
	}
	return 0
}

// touchFanOut says that the live reservations of an agent and its team have changed.
func (s *State) touchFanOut(l *Labels) {
	s.queue.touch(watchFanOutTeam + l.Team)
	s.queue.touch(watchFanOutAgent + Actor{l.Principal, l.Agent}.key())
}

func (s *State) pacersInOrder() []Pacer {
	list := make([]Pacer, 0, len(s.pacers))
	for key, until := range s.pacers {
		list = append(list, Pacer{key.team, key.actor, until})
	}
	slices.SortFunc(list, func(a, b Pacer) int {
		return cmp.Or(cmp.Compare(a.Team, b.Team), cmp.Compare(a.Actor.Principal, b.Actor.Principal), cmp.Compare(a.Actor.Agent, b.Actor.Agent))
	})
	return list
}
