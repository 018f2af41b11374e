package learn

import (
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// MaxScores bounds the task types that are scored and steered apart; others are taken together under the empty type.
	MaxScores = 64
	// ReportDays is how many days, the present one included, a [Report] is about.
	ReportDays = 7
	// MaxStanding bounds the open reservations whose estimates are kept; the oldest make room, and are then scored against
	// the estimate of when they are settled.
	MaxStanding = 4096
)

// Score counts how estimates did against what was then used, beside the table with its margin of 30 %.
type Score struct {
	Tasks   int64   `cbor:"1,keyasint,omitempty"`
	Used    int64   `cbor:"2,keyasint,omitempty"` // tokens
	Learned Count   `cbor:"3,keyasint,omitempty"`
	Table   Count   `cbor:"4,keyasint,omitempty"`
	Aimed   float64 `cbor:"5,keyasint,omitempty"` // how many tasks were to be covered
	Stated  Stated  `cbor:"6,keyasint,omitempty"`
}

// Count is how one way to estimate did.
type Count struct {
	Covered int64 `cbor:"1,keyasint,omitempty"` // tasks that used no more than estimated
	Waste   int64 `cbor:"2,keyasint,omitempty"` // tokens estimated and not used
	Short   int64 `cbor:"3,keyasint,omitempty"` // tokens used beyond the estimate
}

// Stated counts those reservations that say which estimate they rest on.
type Stated struct {
	Tasks     int64 `cbor:"1,keyasint,omitempty"`
	Used      int64 `cbor:"2,keyasint,omitempty"` // tokens
	Estimated int64 `cbor:"3,keyasint,omitempty"` // tokens that the agents were told
	Granted   int64 `cbor:"4,keyasint,omitempty"` // tokens at first, without extensions
	Estimate  Count `cbor:"5,keyasint,omitempty"` // what they were told against what they used
	Grant     Count `cbor:"6,keyasint,omitempty"` // what they were granted at first against what they used
	Extended  int64 `cbor:"7,keyasint,omitempty"` // those that were granted more later
}

// Loss is waste and shortage in one figure, in tokens: the quantile loss, whose expectation is least where the share of tasks
// that fit is the target. At a target of 90 % a token short counts as nine wasted. Ways to estimate that cover different
// shares compare by it; by waste alone who estimates nothing is best.
func (c *Count) Loss(target float64) float64 {
	return (1-target)*float64(c.Waste) + target*float64(c.Short)
}

func (c *Count) add(estimated, used int64) {
	if used <= estimated {
		c.Covered++
	}
	c.Waste += max(0, estimated-used)
	c.Short += max(0, used-estimated)
}

func (c *Count) plus(o *Count) {
	c.Covered += o.Covered
	c.Waste += o.Waste
	c.Short += o.Short
}

// plus adds another score up.
func (s *Score) plus(o *Score) {
	s.Tasks += o.Tasks
	s.Used += o.Used
	s.Aimed += o.Aimed
	s.Learned.plus(&o.Learned)
	s.Table.plus(&o.Table)
	t, u := &s.Stated, &o.Stated
	t.Tasks += u.Tasks
	t.Used += u.Used
	t.Estimated += u.Estimated
	t.Granted += u.Granted
	t.Extended += u.Extended
	t.Estimate.plus(&u.Estimate)
	t.Grant.plus(&u.Grant)
}

// standing is the estimate that stood when a reservation was granted.
type standing struct {
	target  int64
	aim     float64
	granted int64  // at first
	since   uint64 // the commit of the grant
}

// done is a finished task.
type done struct {
	key     Key
	table   int64 // tokens
	used    quota.Tokens
	told    int64 // by an estimate; 0 for none
	granted int64 // in all
	day     int64
	stood   *standing // nil where the grant was not seen
}

// score notes how the estimate did that stood at the grant, and steers by it.
func (b *Book) score(d *done, e Estimate) {
	stood := d.stood
	if stood == nil {
		stood = &standing{target: e.Target, aim: e.Aim, granted: d.granted}
	}
	used := d.used.Total()
	s := Score{Tasks: 1, Used: used, Aimed: stood.aim}
	s.Learned.add(stood.target, used)
	s.Table.add(estimate.Conservative(d.table), used)
	if d.told > 0 {
		s.Stated = Stated{Tasks: 1, Used: used, Estimated: d.told, Granted: stood.granted}
		s.Stated.Estimate.add(d.told, used)
		s.Stated.Grant.add(stood.granted, used)
		if d.granted > stood.granted {
			s.Stated.Extended = 1
		}
	}
	name := b.scoredAs(d.key.TaskType)
	b.note(b.scores, name, &s)
	if b.days[d.day] == nil {
		b.days[d.day] = map[string]Score{}
	}
	b.note(b.days[d.day], name, &s)
	b.steer(name, stood.aim, used <= stood.target)
}

func (b *Book) note(in map[string]Score, name string, s *Score) {
	sum := in[name]
	sum.plus(s)
	in[name] = sum
}

// scoredAs names a task type in the scores.
func (b *Book) scoredAs(taskType string) string {
	if _, known := b.scores[taskType]; !known && len(b.scores) >= MaxScores {
		return ""
	}
	return taskType
}

// Scores gives the scores by task type since the Book was begun, a copy.
func (b *Book) Scores() map[string]Score { return maps.Clone(b.scores) }

// Report gives the scores by task type of the last ReportDays days of ledger time, the present one included.
func (b *Book) Report() map[string]Score {
	sum := map[string]Score{}
	for _, day := range b.days {
		for name, s := range day {
			b.note(sum, name, &s)
		}
	}
	return sum
}

// Since is when the days of [Book.Report] began, by UTC; 0 for a Book that has read nothing.
func (b *Book) Since() quota.Instant {
	return quota.Instant(max(0, b.today-ReportDays+1) * int64(quota.Day))
}

// until moves on to a day and forgets those that lie too far back.
func (b *Book) until(at quota.Instant) {
	b.today = max(b.today, int64(at)/int64(quota.Day))
	maps.DeleteFunc(b.days, func(day int64, _ map[string]Score) bool { return day <= b.today-ReportDays })
}

// Sum adds up the scores of all types.
func Sum(scores map[string]Score) (sum Score) {
	for _, name := range slices.Sorted(maps.Keys(scores)) { // in one order: the aims are not whole
		s := scores[name]
		sum.plus(&s)
	}
	return sum
}
