package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func TestFoldEqualsWriter(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 1)
	s.play(400)
	folded := fold(t, s.log)
	if folded.Position() != s.ledger.Position() {
		t.Errorf("folded to %+v, written to %+v", folded.Position(), s.ledger.Position())
	}
	if digestOf(t, folded) != digestOf(t, s.ledger) {
		t.Error("the fold differs from the state of who wrote the log")
	}
	seen := map[string]int{}
	for _, e := range s.log {
		c, err := Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range c.Events {
			seen[event.Kind()]++
		}
	}
	for _, e := range allEvents(t) {
		if seen[e.Kind()] == 0 {
			t.Errorf("the scenario has no %s, so nothing is proved of it", e.Kind())
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 2)
	s.play(3)
	s.now = s.now.Add(quota.Second)
	s.do(quota.Reserve{Actor: actor(1), Reservation: "r", Provider: "openai", Model: "gpt", Amount: quota.Amount{Tokens: tokens(100)}})
	before, revision := len(s.log), s.ledger.Position().Revision
	good := s.draft()
	tests := map[string]struct {
		change func(c *Commit)
		rev    uint64
		want   error
	}{
		"another ledger":     {func(c *Commit) { c.Ledger[0]++ }, revision + 1, ErrSequence},
		"no ledger":          {func(c *Commit) { c.Ledger = ID{} }, revision + 1, ErrSequence},
		"a gap":              {func(c *Commit) { c.Number++ }, revision + 1, ErrSequence},
		"a repetition":       {func(c *Commit) { c.Number-- }, revision + 1, ErrSequence},
		"another past":       {func(c *Commit) { c.Prev[5]++ }, revision + 1, ErrSequence},
		"an earlier reign":   {func(c *Commit) { c.Epoch-- }, revision + 1, ErrSequence},
		"time gone back":     {func(c *Commit) { c.At = t0 - 1 }, revision + 1, ErrSequence},
		"an old revision":    {func(c *Commit) {}, revision, ErrSequence},
		"other totals":       {func(c *Commit) { c.Totals.Granted++ }, revision + 1, ErrBroken},
		"an event after it":  {func(c *Commit) { c.At -= 1 }, revision + 1, ErrBroken},
		"a broken invariant": {func(c *Commit) { c.Events = append(c.Events[:len(c.Events):len(c.Events)], c.Events...) }, revision + 1, ErrBroken},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, c := fold(t, s.log[:before]), *good
			test.change(&c)
			if err := l.Apply(&c, Hash{1}, test.rev); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if err := fold(t, s.log[:before]).Apply(good, Hash{1}, revision+1); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestKeysAndParams(t *testing.T) {
	t.Parallel()
	if KeyOf("ab", "c") == KeyOf("a", "bc") || KeyOf("a", "b") == KeyOf("b", "a") {
		t.Error("two requests have one key")
	}
	if ParamsOf([]byte("ab"), nil) == ParamsOf([]byte("a"), []byte("b")) || ParamsOf() == ParamsOf(nil) {
		t.Error("two lists of parameters have one hash")
	}
	long := strings.Repeat("x", 1000)
	if again := KeyOf("a", strings.Clone(long)); KeyOf("a", long) != again {
		t.Error("a long id has no stable key")
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	key := func(i int) Key { return KeyOf("p", fmt.Sprint(i)) }
	at := func(i int) quota.Instant { return t0.Add(quota.Millis(i) * quota.Second) }
	fresh := func(most, n int) *memory {
		m := newMemory()
		m.most = most
		for i := range n {
			m.add(key(i), at(i), Ref{Revision: uint64(i)})
		}
		return m
	}
	t.Run("the horizon forgets and the floor rises", func(t *testing.T) {
		t.Parallel()
		m := fresh(100, 10)
		m.trim(t0.Add(quota.Day+5*quota.Second), quota.Day)
		if m.len() != 5 || m.floor != t0.Add(5*quota.Second) {
			t.Errorf("%d remembered above %d", m.len(), m.floor-t0)
		}
	})
	t.Run("a shorter horizon is not undone by a longer one", func(t *testing.T) {
		t.Parallel()
		m := fresh(100, 10)
		m.trim(t0.Add(quota.Hour), quota.Minute)
		m.trim(t0.Add(quota.Hour), quota.Day)
		if m.floor != t0.Add(59*quota.Minute) {
			t.Errorf("floor %d", m.floor-t0)
		}
	})
	t.Run("a full memory forgets the oldest", func(t *testing.T) {
		t.Parallel()
		m := fresh(4, 10)
		m.trim(t0.Add(quota.Minute), quota.Day)
		_, oldest := m.lookup(key(5), at(5))
		_, kept := m.lookup(key(6), at(6))
		if m.len() != 4 || oldest || !kept || m.floor != t0.Add(6*quota.Second)-1 {
			t.Errorf("%d remembered above %d", m.len(), m.floor-t0)
		}
	})
	t.Run("what is at or below the floor is not remembered", func(t *testing.T) {
		t.Parallel()
		m := fresh(4, 10)
		m.trim(t0.Add(quota.Minute), quota.Day)
		m.add(key(77), m.floor, Ref{})
		if _, ok := m.lookup(key(77), m.floor); ok {
			t.Error("it is")
		}
	})
	t.Run("there is no room while the oldest is young", func(t *testing.T) {
		t.Parallel()
		m := fresh(10, 10)
		if young := t0.Add(slot + MinMemory - 1); m.room(1, young) || !m.room(0, young) || !m.room(1, young+1) {
			t.Error("room is wrong about the youth of the oldest")
		}
	})
	t.Run("of a slot each is found, however many there are", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{1, fewRequests, fewRequests + 1, 100} {
			m, restored := newMemory(), newMemory()
			for i := range n {
				m.add(key(i), at(1).Add(quota.Millis(i)), Ref{Number: uint64(i)})
			}
			if err := restored.recall(m.share()); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				for _, of := range []*memory{m, restored} {
					if ref, ok := of.lookup(key(i), at(1).Add(quota.Millis(i))); !ok || ref.Number != uint64(i) {
						t.Errorf("of %d request %d is found as %d: %t", n, i, ref.Number, ok)
					}
				}
			}
			if _, ok := m.lookup(key(n), at(1)); ok || restored.len() != n {
				t.Errorf("a request is found that is not among %d", n)
			}
		}
	})
	t.Run("a keyframe that has a request twice is corrupt", func(t *testing.T) {
		t.Parallel()
		twice := remembered{Key: key(1)}
		if err := newMemory().recall([]recalled{{At: at(1), Requests: []remembered{twice, {}, twice}}}); !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
	t.Run("late arrivals are kept in order", func(t *testing.T) {
		t.Parallel()
		m := newMemory()
		for _, i := range []int{5, 1, 9, 1, 5, 0} {
			m.add(key(i*10+m.len()), at(i), Ref{})
		}
		for i := 1; i < len(m.order); i++ {
			if m.order[i-1] >= m.order[i] {
				t.Fatalf("out of order: %v", m.order)
			}
		}
		m.trim(t0.Add(2*quota.Second), 0)
		if m.len() != 3 {
			t.Errorf("%d remembered, want those of 5, 9 and 5", m.len())
		}
	})
}

// TestHorizonIsOfTheLog: the horizon that a fold uses is that of the commit, not of a state that is ahead.
func TestHorizonIsOfTheLog(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 4)
	config := scenarioConfig()
	config.Policy.RequestHorizon = quota.Hour
	s.do(quota.ApplyConfig{Config: config})
	s.commit()
	if s.ledger.Horizon() != quota.Hour || s.ledger.Floor() != s.now.Add(-quota.Hour) {
		t.Errorf("horizon %d, floor %d", s.ledger.Horizon(), s.ledger.Floor()-s.now)
	}
	config.Policy.RequestHorizon = 1
	s.do(quota.ApplyConfig{Config: config})
	if s.ledger.Horizon() != quota.Hour {
		t.Error("a decision that is not committed moved the horizon")
	}
	s.commit()
	if s.ledger.Horizon() != MinMemory {
		t.Errorf("horizon %d is below what clients need to repeat a request", s.ledger.Horizon())
	}
}
