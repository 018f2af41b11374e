// Package agenda keeps what is to be done at which time, for replays and simulations that make time pass by themselves.
//
// What is due at the same instant comes in the order in which it was added, so that a run can be repeated exactly.
package agenda

import (
	"container/heap"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Agenda holds entries of any kind. The zero value is empty. It is not safe for concurrent use.
type Agenda[T any] struct {
	entries entries[T]
	turns   uint64
}

type entry[T any] struct {
	at   quota.Instant
	turn uint64
	what T
}

// Add notes something for a time and returns its turn, a number that grows with each entry: whoever adds another entry in
// place of an earlier one knows by it which is the last.
func (a *Agenda[T]) Add(at quota.Instant, what T) (turn uint64) {
	a.turns++
	heap.Push(&a.entries, entry[T]{at, a.turns, what})
	return a.turns
}

// Len counts the entries.
func (a *Agenda[T]) Len() int { return len(a.entries) }

// Next is the time of the first entry; ok is false where there is none.
func (a *Agenda[T]) Next() (at quota.Instant, ok bool) {
	if len(a.entries) == 0 {
		return 0, false
	}
	return a.entries[0].at, true
}

// Take removes the first entry. There has to be one.
func (a *Agenda[T]) Take() (at quota.Instant, turn uint64, what T) {
	e := heap.Pop(&a.entries).(entry[T])
	return e.at, e.turn, e.what
}

// Copy gives an agenda with what keep makes of each entry, at the same times and turns; what it gives false for is left out.
func (a *Agenda[T]) Copy(keep func(T) (T, bool)) Agenda[T] {
	c := Agenda[T]{turns: a.turns}
	for _, e := range a.entries {
		if what, ok := keep(e.what); ok {
			c.entries = append(c.entries, entry[T]{e.at, e.turn, what})
		}
	}
	heap.Init(&c.entries)
	return c
}

// entries is a heap by time and turn.
type entries[T any] []entry[T]

func (h entries[T]) Len() int { return len(h) }
func (h entries[T]) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].turn < h[j].turn
}
func (h entries[T]) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push is for container/heap.
func (h *entries[T]) Push(x any) { *h = append(*h, x.(entry[T])) }

// Pop is for container/heap.
func (h *entries[T]) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = entry[T]{} // so that the array behind the slice does not keep it
	*h = old[:len(old)-1]
	return e
}
