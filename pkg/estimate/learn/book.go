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

	gamma              = 0.01 // how far one task moves the level of its type
	minLevel, maxLevel = 0.5, 0.995
)

// ErrState says that stored bytes are not a Book that this version can read.
var ErrState = errors.New("unreadable estimates")

// Book is what is learned in one workspace.
type Book struct {
	ledger ledger.ID
	number uint64 // of the last commit read
	target float64
	keys   map[Key]*evidence
	levels map[string]float64 // by task type, where it is not the target
	scores map[string]Score   // by task type
}

// New gives a Book that knows nothing; target is the coverage to reach, such as DefaultTarget.
func New(target float64) *Book {
	return &Book{target: target, keys: map[Key]*evidence{}, levels: map[string]float64{}, scores: map[string]Score{}}
}

// Target is the share of tasks that are to fit into their estimate, 0 to 1.
func (b *Book) Target() float64 { return b.target }

// Number is the last commit that was read; 0 for none.
func (b *Book) Number() uint64 { return b.number }

// Read learns from the reservations that a commit settles. A commit that was read before changes nothing; one of another
// ledger begins anew. It tells whether anything was learned.
func (b *Book) Read(c *ledger.Commit) (learned bool, err error) {
	if !b.ledger.IsZero() && c.Ledger != b.ledger {
		*b = *New(b.target)
	}
	if c.Number <= b.number {
		return false, nil
	}
	b.ledger, b.number = c.Ledger, c.Number
	for _, e := range c.Events {
		closed, ok := e.(*quota.ReservationClosed)
		if !ok || closed.Outcome != quota.OutcomeSettled || closed.Used.Tokens.Total() <= 0 {
			continue
		}
		learned = true
		err = errors.Join(err, b.Learn(KeyOf(&closed.Labels), Table(&closed.Labels), closed.Used.Tokens.Total()))
	}
	return learned, err
}

// Learn scores one finished task, which used total tokens, against the estimate of before it, and learns from it.
func (b *Book) Learn(k Key, tableTokens, total int64) error {
	if e, ok := b.Estimate(k, tableTokens); ok {
		b.score(k.TaskType, e, tableTokens, total)
	}
	var errs []error
	for _, key := range k.levels() {
		errs = append(errs, b.add(key, float64(total)))
	}
	if tableTokens > 0 {
		errs = append(errs, b.add(Key{}, float64(total)/float64(tableTokens)))
	}
	b.forget()
	return errors.Join(errs...)
}

func (b *Book) add(k Key, value float64) error {
	e := b.keys[k]
	if e == nil {
		made, err := newEvidence()
		if err != nil {
			return err
		}
		e = made
		b.keys[k] = e
	}
	return e.add(value, b.number)
}

// forget drops the keys that were unheard of for longest once there are too many: an eighth at a time, so that it is
// rare. Of equally old ones the finest go first: a coarser one still speaks for them.
func (b *Book) forget() {
	if len(b.keys) <= MaxKeys {
		return
	}
	order := slices.SortedFunc(maps.Keys(b.keys), func(x, y Key) int {
		return cmp.Or(cmp.Compare(b.keys[x].seen, b.keys[y].seen), cmp.Compare(y.Level, x.Level), compareKeys(x, y))
	})
	for _, k := range order[:len(order)-MaxKeys+MaxKeys/8] {
		if k.Level > 0 {
			delete(b.keys, k)
		}
	}
}

func compareKeys(x, y Key) int {
	return cmp.Or(cmp.Compare(x.Level, y.Level), cmp.Compare(x.TaskType, y.TaskType), cmp.Compare(x.Complexity, y.Complexity),
		cmp.Compare(x.Model, y.Model), cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Files, y.Files))
}

// level is the quantile that is taken for a task type.
func (b *Book) level(taskType string) float64 {
	if l, ok := b.levels[taskType]; ok {
		return l
	}
	return b.target
}
