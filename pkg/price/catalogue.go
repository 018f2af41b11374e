package price

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Whole is the batch share of a price without discount, in thousandths.
const Whole = 1000

// Entry is one price of one model over one period.
type Entry struct {
	Provider string // the name in the provider table, e.g. "claude"; empty for overrides
	Model    string // as rules 1 and 2 of the package comment leave it
	From     quota.Instant
	To       quota.Instant // excluded; 0 means open, as it does for From
	// AboveInput makes the entry the price of whole calls with more input tokens than this, cache reads and writes
	// included; 0 is the ordinary price, which every period must have.
	AboveInput int64
	Rate       quota.Rate
	// BatchPermille is what a batch call pays of every class, in thousandths; 0 means no batch price is published.
	BatchPermille int64
}

// covers tells whether the instant lies in the entry's period.
func (e *Entry) covers(at quota.Instant) bool {
	return (e.From == 0 || at >= e.From) && (e.To == 0 || at < e.To)
}

// Catalogue finds prices. The zero value knows none.
type Catalogue struct {
	byModel map[string][]Entry // by period, then by AboveInput descending
	aliases map[string]string
}

// New makes a catalogue of entries and second names. A catalogue that [Validate] finds fault with is refused
// with all its faults.
func New(entries []Entry, aliases map[string]string) (*Catalogue, error) {
	if err := Validate(entries, aliases); err != nil {
		return nil, fmt.Errorf("price catalogue: %w", err)
	}
	return index(entries, aliases), nil
}

func index(entries []Entry, aliases map[string]string) *Catalogue {
	c := &Catalogue{byModel: make(map[string][]Entry), aliases: aliases}
	for _, e := range entries {
		c.byModel[e.Model] = append(c.byModel[e.Model], e)
	}
	for _, rows := range c.byModel {
		slices.SortFunc(rows, func(a, b Entry) int {
			if a.From != b.From {
				return compare(a.From, b.From)
			}
			return compare(b.AboveInput, a.AboveInput)
		})
	}
	return c
}

func compare[T ~int64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Query says which price is wanted.
type Query struct {
	Model string
	At    quota.Instant // when the call was made
	// InputTokens is the whole input of the one call, cache reads and writes included; it decides on a long-context
	// surcharge. 0 asks for the ordinary price.
	InputTokens int64
	Batch       bool // made through the provider's batch interface
}

// Lookup gives the price of a call. ok is false for an unknown model, a time without a price, and a batch call of a
// model without a published batch price. Discounted rates are rounded up to a micro-USD per million tokens.
func (c *Catalogue) Lookup(q Query) (rate quota.Rate, ok bool) {
	model, known := c.Resolve(q.Model)
	if !known {
		return quota.Rate{}, false
	}
	for i := range c.byModel[model] {
		e := &c.byModel[model][i]
		if !e.covers(q.At) || e.AboveInput > 0 && q.InputTokens <= e.AboveInput {
			continue
		}
		if !q.Batch {
			return e.Rate, true
		}
		if e.BatchPermille == 0 {
			return quota.Rate{}, false
		}
		return discounted(e.Rate, e.BatchPermille), true
	}
	return quota.Rate{}, false
}

// Rate gives the price of a model at an instant, for a batch call or an ordinary one; it makes a
// Catalogue a [quota.Prices].
func (c *Catalogue) Rate(model string, at quota.Instant, batch bool) (quota.Rate, bool) {
	return c.Lookup(Query{Model: model, At: at, Batch: batch})
}

// Resolve gives the model name under which the catalogue keeps a price; ok is false where it keeps none.
func (c *Catalogue) Resolve(name string) (model string, ok bool) {
	if _, found := c.byModel[name]; found { // most names need no rule
		return name, true
	}
	name = Normalise(name)
	if model, ok := c.direct(name); ok {
		return model, true
	}
	if family, dated := cutSnapshot(name); dated {
		return c.direct(family)
	}
	return "", false
}

// direct applies rules 2 and 3.
func (c *Catalogue) direct(name string) (string, bool) {
	if _, found := c.byModel[name]; found {
		return name, true
	}
	model, found := c.aliases[name]
	return model, found
}

// Models lists the models of the catalogue in alphabetical order.
func (c *Catalogue) Models() []string {
	return slices.Sorted(maps.Keys(c.byModel))
}

// Entries lists what the catalogue keeps of a model, by period and then from the highest tier down; nil if unknown.
func (c *Catalogue) Entries(model string) []Entry {
	resolved, ok := c.Resolve(model)
	if !ok {
		return nil
	}
	return slices.Clone(c.byModel[resolved])
}

// Normalise applies rule 1 of the package comment.
func Normalise(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, prefix := range []string{"anthropic/", "openai/"} {
		if rest, found := strings.CutPrefix(name, prefix); found {
			name = rest
			break
		}
	}
	return strings.TrimSuffix(name, "[1m]")
}

// cutSnapshot cuts -YYYYMMDD, -YYYY-MM-DD or -latest off the end.
func cutSnapshot(name string) (family string, dated bool) {
	if family, dated = strings.CutSuffix(name, "-latest"); dated {
		return family, family != ""
	}
	for _, shape := range []string{"-00000000", "-0000-00-00"} {
		if cut := len(name) - len(shape); cut > 0 && hasShape(name[cut:], shape) {
			return name[:cut], true
		}
	}
	return "", false
}

// hasShape tells whether s has a digit wherever shape has a 0, and is the same elsewhere.
func hasShape(s, shape string) bool {
	for i := range len(shape) {
		digit := s[i] >= '0' && s[i] <= '9'
		if shape[i] == '0' && !digit || shape[i] != '0' && s[i] != shape[i] {
			return false
		}
	}
	return true
}

// discounted takes a share of every class, rounded up.
func discounted(r quota.Rate, permille int64) quota.Rate {
	share := func(n int64) int64 { return (n*permille + Whole - 1) / Whole }
	return quota.Rate{
		Input: share(r.Input), CacheRead: share(r.CacheRead), CacheWrite5m: share(r.CacheWrite5m),
		CacheWrite1h: share(r.CacheWrite1h), Output: share(r.Output),
	}
}

var _ quota.Prices = (*Catalogue)(nil)
