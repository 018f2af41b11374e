package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func add(b *Board, from, to int) {
	for i := from; i <= to; i++ {
		b.Add(fmt.Sprint(i), json.RawMessage(fmt.Sprint(i)))
	}
}

func ids(u Update) []string {
	var all []string
	for _, e := range u.Events {
		all = append(all, string(e))
	}
	return all
}

func TestALookerOnSeesEachEventOnce(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	add(b, 1, 3)
	b.Add("3", json.RawMessage("3")) // the relay publishes at least once
	c := b.Join("")
	defer b.Leave()
	first, _ := b.Look(c)
	if !first.Reset || !slices.Equal(ids(first), []string{"1", "2", "3"}) || first.LastID != "3" {
		t.Errorf("at first %+v, want a reset and events 1 to 3", first)
	}
	none, changed := b.Look(c)
	if !none.Empty() {
		t.Errorf("then %+v, want nothing", none)
	}
	add(b, 4, 4)
	select {
	case <-changed:
	default:
		t.Error("nobody is told of the change")
	}
	if next, _ := b.Look(c); next.Reset || !slices.Equal(ids(next), []string{"4"}) {
		t.Errorf("after one more %+v, want event 4 alone", next)
	}
}

func TestALookerOnGoesOnBehindWhatItSaw(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, after string
		reset       bool
		want        []string
	}{
		{"known", "2", false, []string{"3", "4"}},
		{"the last", "4", false, nil},
		{"never heard of", "9", true, []string{"1", "2", "3", "4"}},
		{"none", "", true, []string{"1", "2", "3", "4"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := NewBoard()
			add(b, 1, 4)
			u, _ := b.Look(b.Join(tt.after))
			if u.Reset != tt.reset || !slices.Equal(ids(u), tt.want) || u.Missed != 0 {
				t.Errorf("after %q: %+v, want reset %v and %v", tt.after, u, tt.reset, tt.want)
			}
		})
	}
}

func TestWhoIsSlowIsToldHowMuchIsMissing(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	add(b, 1, 1)
	c := b.Join("")
	b.Look(c)
	add(b, 2, 2+maxEvents+99)
	u, _ := b.Look(c)
	if len(u.Events) != maxBatch || u.Missed != maxEvents+100-maxBatch || u.Reset {
		t.Errorf("%d events and %d missed, want %d and %d", len(u.Events), u.Missed, maxBatch, maxEvents+100-maxBatch)
	}
	if last := string(u.Events[maxBatch-1]); last != fmt.Sprint(2+maxEvents+99) {
		t.Errorf("the last is %s, want the newest", last)
	}
}

func TestTheRingIsBounded(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	large := json.RawMessage(strings.Repeat("x", maxEventBytes/4))
	for i := range 10 {
		b.Add(fmt.Sprint(i), large)
	}
	if b.events.bytes > maxEventBytes || len(b.events.known) != len(b.events.entries) || len(b.events.entries) != 4 {
		t.Errorf("%d bytes in %d events, %d ids known", b.events.bytes, len(b.events.entries), len(b.events.known))
	}
}

func TestThePictureIsSentOnceAndForgottenWithTheLastLookerOn(t *testing.T) {
	t.Parallel()
	b := NewBoard()
	b.SetState([]byte("old")) // nobody looks on: it would be old when somebody does
	c := b.Join("")
	select {
	case <-b.Woken():
	default:
		t.Error("joining wakes nobody")
	}
	if u, _ := b.Look(c); u.State != nil {
		t.Errorf("state %s before any is known", u.State)
	}
	b.SetState([]byte("1"))
	b.SetAdvice([]byte("a"))
	if u, _ := b.Look(c); string(u.State) != "1" || string(u.Advice) != "a" {
		t.Errorf("got %+v, want both parts", u)
	}
	b.SetState([]byte("1"))
	if u, _ := b.Look(c); !u.Empty() {
		t.Errorf("the same again: %+v, want nothing", u)
	}
	b.Leave()
	if b.Watched() {
		t.Error("somebody is still counted")
	}
	if u, _ := b.Look(b.Join("")); u.State != nil || u.Advice != nil {
		t.Errorf("the next one sees %+v, which is old", u)
	}
}
