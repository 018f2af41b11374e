package ledger

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func verify(from *Ledger, log []Entry) Report {
	v := NewVerifier(from)
	for _, e := range log {
		v.Add(e)
	}
	return v.Finish()
}

func TestVerifyGoodLog(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 9)
	s.play(200)
	r := verify(nil, s.log)
	if !r.OK() || r.Commits != len(s.log) || r.Folded != len(s.log) || r.FoldedTotals() != s.ledger.State().Totals() {
		t.Errorf("%d of %d commits folded, %q", r.Folded, r.Commits, r.Violations)
	}
	half := len(s.log) / 2
	m, chunks := encoded(t, fold(t, s.log[:half]))
	l, err := Restore(m, chunks)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(l, s.log[half:]); !r.OK() || digestOf(t, r.Ledger) != digestOf(t, s.ledger) {
		t.Errorf("from a keyframe: %q", r.Violations)
	}
	if r := verify(nil, nil); !r.OK() || r.Commits != 0 {
		t.Errorf("an empty log: %q", r.Violations)
	}
}

// reforge decodes a commit, changes it, and encodes it again, checksum and all: what an attacker with write access does.
func reforge(t *testing.T, e Entry, change func(c *Commit)) Entry {
	t.Helper()
	c, err := Decode(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	if e.Data, err = Encode(c); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	s := newScribe(t, 10)
	s.play(60)
	other := newScribe(t, 11)
	other.play(60)
	grant := slices.IndexFunc(s.log, func(e Entry) bool {
		c, err := Decode(e.Data)
		return err == nil && c.Number > 20 && slices.ContainsFunc(c.Events, func(e quota.Event) bool { return e.Kind() == quota.KindReservationGranted })
	})
	tests := map[string]struct {
		change func(log []Entry) []Entry
		words  string
	}{
		"a deleted commit": {func(log []Entry) []Entry { return slices.Delete(log, 30, 31) }, "follows commit"},
		"a doubled commit": {func(log []Entry) []Entry { return slices.Insert(log, 30, log[29]) }, "follows commit"},
		"swapped commits":  {func(log []Entry) []Entry { log[30], log[31] = log[31], log[30]; return log }, "follows commit"},
		"a corrupted commit": {func(log []Entry) []Entry {
			log[30].Data = bytes.Clone(log[30].Data)
			log[30].Data[40] ^= 1
			return log
		}, "cannot be read"},
		"a forged last commit": {func(log []Entry) []Entry {
			last := len(log) - 1
			log[last] = reforge(t, log[last], func(c *Commit) { c.Totals.Used++ })
			return log
		}, "folded totals"},
		"a forged commit in the middle": {func(log []Entry) []Entry {
			log[grant] = reforge(t, log[grant], func(c *Commit) {
				for _, e := range c.Events {
					if g, ok := e.(*quota.ReservationGranted); ok {
						g.Labels.Team = "others"
					}
				}
			})
			return log
		}, "was made after another commit"},
		"a commit of another ledger": {func(log []Entry) []Entry { log[30].Data = other.log[30].Data; return log }, "of ledger"},
		"a request answered twice": {func(log []Entry) []Entry {
			last := len(log) - 1
			log[last] = reforge(t, log[last], func(c *Commit) { c.Answers = append(c.Answers, anAnswer(t, log)) })
			return log
		}, "answered already"},
		"units held from nothing": {func(log []Entry) []Entry {
			last := len(log) - 1
			log[last] = reforge(t, log[last], func(c *Commit) {
				c.Events = append(c.Events, &quota.ReservationRenewed{At: c.At, Reservation: "nobody's", Expires: c.At})
			})
			return log
		}, "renewed and is not live"},
		"a tail that is cut off inside": {func(log []Entry) []Entry {
			last := len(log) - 1
			log[last].Data = log[last].Data[:len(log[last].Data)/2]
			return log
		}, "cannot be read"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := test.change(slices.Clone(s.log))
			r := verify(nil, log)
			if r.OK() || !strings.Contains(strings.Join(r.Violations, "\n"), test.words) {
				t.Errorf("found %d: %q, want words %q", r.Found, r.Violations, test.words)
			}
			if r.Commits != len(log) {
				t.Errorf("%d of %d commits were looked at", r.Commits, len(log))
			}
			if len(r.Violations) > 5 {
				t.Errorf("one fault gives %d violations", r.Found)
			}
		})
	}
}

func TestVerifyBoundsItsReport(t *testing.T) {
	t.Parallel()
	log := make([]Entry, MaxViolations+10)
	for i := range log {
		log[i] = Entry{Revision: uint64(i + 1), Data: []byte("garbage")}
	}
	if r := verify(nil, log); r.Found < len(log) || len(r.Violations) != MaxViolations {
		t.Errorf("%d found, %d told", r.Found, len(r.Violations))
	}
}

// anAnswer gives the first answer in a log.
func anAnswer(t *testing.T, log []Entry) Answer {
	t.Helper()
	for _, e := range log {
		c, err := Decode(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Answers) > 0 {
			return c.Answers[0]
		}
	}
	t.Fatal("a log without answers")
	return Answer{}
}
