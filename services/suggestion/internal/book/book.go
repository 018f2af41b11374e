// Package book keeps what the suggestion service knows of one workspace: how far it has read the ledger, the
// window of the last days, the advice that holds now, and the advice that is made but not yet published.
//
// It is pure: commits go in, bytes and suggestions come out. All of it is stored as one value, so that position,
// window and advice can never disagree: a commit that was read is in the window, and advice that follows from it is in
// the list and, until it is published, in the outbox. Reading a commit again changes nothing.
//
// Advice is known by rule, subject and week: while the same thing is the case it is told once a week, and its figures in
// the list stay current. Advice whose case no longer holds leaves the list; if it returns within the week, it returns to
// the list without being told again.
package book

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/envelope"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/rules"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

const (
	// Week is how long advice is not told again; weeks begin on Monday, UTC.
	Week = 7 * quota.Day
	// MaxMade bounds how much advice of a week is remembered as told.
	MaxMade = 2_000
	// MaxList bounds the advice that is kept at once; what saves least is left out.
	MaxList = 100
	// MaxBytes is the most that a stored book takes; it must fit a message.
	MaxBytes = 1 << 20
)

// ErrState says that stored bytes are not a book that this version can read.
var ErrState = errors.New("unreadable state")

// Book is what is known of one workspace. It is not safe for concurrent use.
type Book struct {
	workspace string
	base      *price.Catalogue
	prices    *price.Catalogue // base with the overrides of the configuration in force

	ledger ledger.ID
	number uint64 // of the last commit read
	window *rules.Window
	made   map[string]quota.Instant // by id, when it was made
	list   []wire.Suggestion
	outbox []wire.Suggestion

	plans     []price.Plan
	jobs      *workload.Log // not stored: see Recall
	tests     map[string]tested
	tracks    map[string]*tracked
	stacks    map[string]int64 // what is left of a saving on top of others; see besides
	dismissed map[string]bool
	evaluated quota.Instant // when the rules ran last
	awaiting  bool          // advice waits for its test
}

// New gives the book of a workspace of which nothing is known.
func New(workspace string, catalogue *price.Catalogue) *Book {
	plans, err := price.Plans()
	if err != nil {
		plans = nil // a test of the price list finds that
	}
	return &Book{
		workspace: workspace, base: catalogue, prices: catalogue, window: rules.NewWindow(), made: map[string]quota.Instant{},
		plans: plans, jobs: workload.New(), tests: map[string]tested{}, tracks: map[string]*tracked{}, stacks: map[string]int64{},
	}
}

// Workspace names the workspace.
func (b *Book) Workspace() string { return b.workspace }

// Number is the last commit that was read; 0 for none.
func (b *Book) Number() uint64 { return b.number }

// List gives the advice that holds now, as it is shown.
func (b *Book) List() wire.SuggestionList {
	list := wire.SuggestionList{
		Workspace: b.workspace, AsOf: wire.TimeOf(b.window.Now), Commit: b.number, Suggestions: append([]wire.Suggestion{}, b.list...), Past: b.past(),
	}
	for i := range list.Suggestions {
		s := &list.Suggestions[i]
		s.Realised = b.tracks[keyOf(s.Rule, s.Subject)].realised()
	}
	return list
}

// Outbox gives the advice that is still to be published, in order.
func (b *Book) Outbox() []wire.Suggestion { return b.outbox }

// Published takes the first n pieces of advice out of the outbox.
func (b *Book) Published(n int) { b.outbox = slices.Clone(b.outbox[n:]) }

// Reading says what a commit was to the book.
type Reading struct {
	Repeated bool   // it was read before; nothing changed
	Missed   uint64 // commits between the last one and this that were never seen
	Replaced bool   // it belongs to another ledger than before: the book began anew
	// Fault is what was wrong with the prices of a configuration; the catalogue's own hold then.
	Fault error
}

// Read takes the next commit.
func (b *Book) Read(c *ledger.Commit) Reading {
	var r Reading
	if !b.ledger.IsZero() && c.Ledger != b.ledger {
		r.Replaced = true
		dismissed := b.dismissed
		*b = *New(b.workspace, b.base)
		b.dismissed = dismissed
	}
	if !r.Replaced && c.Number <= b.number {
		r.Repeated = true
		return r
	}
	if b.number > 0 {
		r.Missed = c.Number - b.number - 1
	}
	b.ledger, b.number = c.Ledger, c.Number
	b.window.Advance(c.At) // also where nothing in it concerns advice
	b.jobs.Advance(c.At)
	for _, e := range c.Events {
		if applied, ok := e.(*quota.ConfigApplied); ok {
			r.Fault = errors.Join(r.Fault, b.reprice(applied.Config.Prices))
		}
		b.window.Fold(e, b.prices)
		b.jobs.Fold(e)
	}
	return r
}

func (b *Book) reprice(overrides []quota.PriceOverride) error {
	made, err := b.base.WithOverrides(overrides)
	if err != nil {
		b.prices = b.base
		return err
	}
	b.prices = made
	return nil
}

// Advise brings the list up to date and puts what is new into the outbox. It gives the number of new pieces. Where there
// are many jobs, it does so only once in a while of ledger time, but goes on where advice is Awaiting its test. Once ended is
// closed no test is begun: what has none yet awaits it.
func (b *Book) Advise(ended <-chan struct{}) int {
	now := b.window.Now
	if !b.awaiting && now.Sub(b.evaluated) < quota.Millis(b.jobs.Len()/jobsPerSecond)*quota.Second {
		return 0
	}
	b.evaluated = now
	before, jobs := len(b.outbox), b.jobs.Jobs()
	b.list = b.prove(rules.Evaluate(&rules.Input{Window: b.window, Jobs: jobs, Prices: b.prices, Plans: b.plans}), jobs, ended)
	for i := range b.list {
		s := &b.list[i]
		madeAt, known := b.made[s.SuggestionID]
		if !known {
			madeAt = now
			b.made[s.SuggestionID] = now
		}
		s.MadeAt = wire.TimeOf(madeAt)
		if !known {
			told := *s
			told.UpdatedAt = 0
			b.outbox = append(b.outbox, told)
		}
	}
	b.forget()
	b.forgetTests()
	return len(b.outbox) - before
}

// forget drops what was made more than a week ago, whose ids cannot come back, and the oldest beyond MaxMade.
func (b *Book) forget() {
	for id, at := range b.made {
		if weekOf(at) < weekOf(b.window.Now) {
			delete(b.made, id)
		}
	}
	if len(b.made) <= MaxMade {
		return
	}
	ids := make([]string, 0, len(b.made))
	for id := range b.made {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y string) int {
		return cmp.Or(cmp.Compare(b.made[x], b.made[y]), cmp.Compare(x, y))
	})
	for _, id := range ids[:len(ids)-MaxMade] {
		delete(b.made, id)
	}
}

// weekOf numbers weeks that begin on Monday: the epoch was a Thursday.
func weekOf(at quota.Instant) int64 {
	const sinceMonday = 3 * quota.Day
	return int64(at.Add(sinceMonday)) / int64(Week)
}

func (b *Book) suggestion(a rules.Advice) wire.Suggestion {
	s := wire.Suggestion{
		SuggestionID: b.id(a),
		Rule:         a.Rule,
		Subject:      subjectOf(a.Subject),
		Title:        a.Title, Advice: a.Advice, SavingMicroUSD: a.Saving, SavingBasis: string(a.Basis),
		ConfidencePercent: wire.Percent(a.Confidence * percentOfThousandth),
		WindowStartsAt:    wire.TimeOf(b.window.From()), WindowEndsAt: wire.TimeOf(b.window.Now),
	}
	for _, e := range a.Evidence {
		s.Evidence = append(s.Evidence, wire.SuggestionEvidence{Name: e.Name, Value: e.Value, Unit: e.Unit})
	}
	for _, o := range a.Who {
		s.Occurrences = append(s.Occurrences, wire.SuggestionOccurrence{
			Principal: o.Principal, Agent: o.Agent, Team: o.Team, Count: o.Count, FirstAt: wire.TimeOf(o.First), LastAt: wire.TimeOf(o.Last),
		})
	}
	return s
}

// percentOfThousandth: a wire.Percent counts thousandths of a percent, of which a thousandth has a hundred.
const percentOfThousandth = 100

// id names advice by workspace, rule, subject and week.
func (b *Book) id(a rules.Advice) string {
	h := sha256.New()
	s := a.Subject
	for _, part := range []string{b.workspace, a.Rule, s.Provider, s.Account, s.Target, s.Limit, s.Team, s.TaskType} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	fmt.Fprintf(h, "%d", weekOf(b.window.Now))
	const idBytes = 12
	return hex.EncodeToString(h.Sum(nil)[:idBytes])
}

// stored is a book as it is kept.
type stored struct {
	Workspace string                   `cbor:"1,keyasint,omitempty"`
	Ledger    ledger.ID                `cbor:"2,keyasint,omitempty"`
	Number    uint64                   `cbor:"3,keyasint,omitempty"`
	Window    rules.Snapshot           `cbor:"4,keyasint,omitempty"`
	Made      map[string]quota.Instant `cbor:"5,keyasint,omitempty"`
	List      []byte                   `cbor:"6,keyasint,omitempty"` // JSON
	Outbox    []byte                   `cbor:"7,keyasint,omitempty"` // JSON
	Tests     map[string]tested        `cbor:"8,keyasint,omitempty"`
	Tracks    map[string]*tracked      `cbor:"9,keyasint,omitempty"`
	Evaluated quota.Instant            `cbor:"10,keyasint,omitempty"`
}

// format is how a book is kept.
func format() envelope.Format {
	const maxPlainBytes = 16 << 20
	return envelope.Format{Magic: "BSG", Version: 1, MaxPlain: maxPlainBytes}
}

// Encode gives the bytes to keep. It fails when they exceed MaxBytes.
func (b *Book) Encode() ([]byte, error) {
	list, err := json.Marshal(b.list)
	if err != nil {
		return nil, fmt.Errorf("encode suggestions: %w", err)
	}
	outbox, err := json.Marshal(b.outbox)
	if err != nil {
		return nil, fmt.Errorf("encode suggestions: %w", err)
	}
	data, err := format().Seal(stored{b.workspace, b.ledger, b.number, b.window.Snapshot(), b.made, list, outbox, b.tests, b.tracks, b.evaluated})
	if err != nil {
		return nil, fmt.Errorf("encode state of workspace %s: %w", b.workspace, err)
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("encode state of workspace %s: %d bytes, at most %d are kept", b.workspace, len(data), MaxBytes)
	}
	return data, nil
}

// Decode reads a stored book. It fails with ErrState for bytes that Encode of this version did not make.
func Decode(data []byte, catalogue *price.Catalogue) (*Book, error) {
	var s stored
	if err := format().Open(data, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	b := New(s.Workspace, catalogue)
	b.ledger, b.number, b.window = s.Ledger, s.Number, rules.Restore(s.Window)
	maps.Copy(b.made, s.Made)
	maps.Copy(b.tests, s.Tests)
	for key, t := range s.Tracks {
		if t != nil {
			b.tracks[key] = t
		}
	}
	b.evaluated = s.Evaluated
	if err := errors.Join(json.Unmarshal(s.List, &b.list), json.Unmarshal(s.Outbox, &b.outbox)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if err := b.reprice(s.Window.Config.Prices); err != nil {
		b.prices = catalogue // as when the configuration was read
	}
	return b, nil
}
