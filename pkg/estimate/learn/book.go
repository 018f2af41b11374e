package learn

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// MaxKeys bounds the keys of a Book.
	MaxKeys = 2048
	// DefaultTarget is the share of tasks that are to fit into their estimate.
	DefaultTarget = 0.9
)

// ErrState says that stored bytes are not a Book that this version can read.
var ErrState = errors.New("unreadable estimates")

// Book is what is learned in one workspace.
type Book struct {
	ledger ledger.ID
	number uint64 // of the last commit read
	today  int64  // the day of the last commit read, counted from the epoch
	target float64
	keys   map[Key]*evidence
	tasks  int64 // learned from

	logWorth float64 // what a task that fits is worth, see weigh; 0 where that is not known
	weighed  int64   // the tasks of when it was worked out
	shifts   map[string]float64

	standing map[string]standing // by open reservation
	scores   map[string]Score    // by task type
	days     map[int64]map[string]Score
}

// New gives a Book that knows nothing; target is the coverage to reach, such as DefaultTarget.
func New(target float64) *Book {
	return &Book{
		target: target, keys: map[Key]*evidence{}, shifts: map[string]float64{}, standing: map[string]standing{},
		scores: map[string]Score{}, days: map[int64]map[string]Score{},
	}
}

// Target is the share of tasks that are to fit into their estimate, 0 to 1.
func (b *Book) Target() float64 { return b.target }

// Number is the last commit that was read; 0 for none.
func (b *Book) Number() uint64 { return b.number }

// Read notes the estimates that stand when a commit grants reservations, and learns from those that it settles. A commit
// that was read before changes nothing; one of another ledger begins anew. It tells whether the Book is worth saving.
func (b *Book) Read(c *ledger.Commit) (changed bool, err error) {
	if !b.ledger.IsZero() && c.Ledger != b.ledger {
		*b = *New(b.target)
	}
	if c.Number <= b.number {
		return false, nil
	}
	b.ledger, b.number = c.Ledger, c.Number
	b.until(c.At)
	for _, e := range c.Events {
		switch e := e.(type) {
		case *quota.ReservationGranted:
			b.grant(e)
			changed = true
		case *quota.ReservationClosed:
			known, failed := b.closed(e)
			changed, err = changed || known, errors.Join(err, failed)
		}
	}
	return changed, err
}

// grant keeps what is estimated of a reservation's work when it is granted.
func (b *Book) grant(e *quota.ReservationGranted) {
	made, ok := b.Estimate(KeyOf(&e.Labels), Table(&e.Labels))
	if !ok {
		return
	}
	b.standing[e.Reservation] = standing{made.Target, made.Aim, e.Amount.Tokens.Total(), b.number}
	if len(b.standing) <= MaxStanding {
		return
	}
	order := slices.SortedFunc(maps.Keys(b.standing), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.standing[x].since, b.standing[y].since), cmp.Compare(x, y))
	})
	for _, id := range order[:MaxStanding/8] {
		delete(b.standing, id)
	}
}

// closed learns from a reservation that was settled; one that ended otherwise says nothing of what its work takes.
// It tells whether the Book is another one now.
func (b *Book) closed(e *quota.ReservationClosed) (changed bool, err error) {
	d := done{
		key: KeyOf(&e.Labels), table: Table(&e.Labels), used: e.Used.Tokens, told: e.Labels.Estimated, granted: e.Granted.Tokens.Total(), day: b.today,
	}
	if stood, known := b.standing[e.Reservation]; known {
		d.stood, changed = &stood, true
		delete(b.standing, e.Reservation)
	}
	if e.Outcome != quota.OutcomeSettled || d.used.Total() <= 0 {
		return changed, nil
	}
	return true, b.learn(&d)
}

// Learn scores one finished task against the estimate of before it, and learns from it.
func (b *Book) Learn(k Key, tableTokens int64, used quota.Tokens) error {
	return b.learn(&done{key: k, table: tableTokens, used: used, day: b.today})
}

func (b *Book) learn(d *done) error {
	if e, ok := b.Estimate(d.key, d.table); ok {
		b.score(d, e)
	}
	total := float64(d.used.Total())
	var errs []error
	for _, key := range d.key.levels() {
		errs = append(errs, b.add(key, total, d.used))
	}
	if d.table > 0 {
		errs = append(errs, b.add(Key{}, total/float64(d.table), d.used))
	}
	b.tasks++
	b.forget(MaxKeys)
	if b.due() {
		b.weigh()
	}
	return errors.Join(errs...)
}

func (b *Book) add(k Key, value float64, used quota.Tokens) error {
	e := b.keys[k]
	if e == nil {
		made, err := newEvidence()
		if err != nil {
			return err
		}
		e = made
		b.keys[k] = e
	}
	return e.add(value, used, b.number)
}

// forget drops the keys that were unheard of for longest once there are too many: an eighth at a time, so that it is
// rare. Of equally old ones the finest go first: a coarser one still speaks for them.
func (b *Book) forget(most int) {
	if len(b.keys) <= most {
		return
	}
	order := slices.SortedFunc(maps.Keys(b.keys), func(x, y Key) int {
		return cmp.Or(cmp.Compare(b.keys[x].seen, b.keys[y].seen), cmp.Compare(y.Level, x.Level), compareKeys(x, y))
	})
	for _, k := range order[:len(order)-most+most/8] {
		if k.Level > 0 {
			delete(b.keys, k)
		}
	}
}

func compareKeys(x, y Key) int {
	return cmp.Or(cmp.Compare(x.Level, y.Level), cmp.Compare(x.TaskType, y.TaskType), cmp.Compare(x.Complexity, y.Complexity),
		cmp.Compare(x.Model, y.Model), cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Files, y.Files))
}
