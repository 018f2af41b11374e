package price

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Faults that Validate can report, wrapped with where they are; test with errors.Is.
var (
	// ErrPrice: a price is negative or over quota.MaxRate.
	ErrPrice = errors.New("price out of range")
	// ErrPeriod: a period ends before it starts.
	ErrPeriod = errors.New("period ends before it starts")
	// ErrOverlap: two prices of the same model and tier hold at the same time.
	ErrOverlap = errors.New("periods overlap")
	// ErrGap: a model has no price between two of its periods.
	ErrGap = errors.New("gap between periods")
	// ErrNoBase: a long-context price holds at a time without an ordinary price.
	ErrNoBase = errors.New("no ordinary price beside the long-context price")
	// ErrName: a model name is empty, or written in a way that a lookup never finds.
	ErrName = errors.New("model name not normalised")
	// ErrBatch: a batch share or a tier's bound is out of range.
	ErrBatch = errors.New("batch share or input bound out of range")
	// ErrAlias: a second name hides a model or points at none.
	ErrAlias = errors.New("bad second name")
)

// Validate reports every fault of a catalogue at once, joined; nil means none.
func Validate(entries []Entry, aliases map[string]string) error {
	var faults []error
	type tier struct {
		model string
		above int64
	}
	tiers := map[tier][]Entry{}
	models := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		faults = append(faults, e.faults()...)
		tiers[tier{e.Model, e.AboveInput}] = append(tiers[tier{e.Model, e.AboveInput}], *e)
		models[e.Model] = true
	}
	keys := slices.SortedFunc(maps.Keys(tiers), func(a, b tier) int {
		if a.model != b.model {
			return slices.Compare([]string{a.model}, []string{b.model})
		}
		return compare(a.above, b.above)
	})
	for _, k := range keys {
		faults = append(faults, sequenceFaults(tiers[k])...)
		if k.above > 0 {
			faults = append(faults, baseFaults(tiers[k], tiers[tier{k.model, 0}])...)
		}
	}
	for _, alias := range slices.Sorted(maps.Keys(aliases)) {
		if models[alias] || !models[aliases[alias]] || alias != Normalise(alias) || alias == "" {
			faults = append(faults, fmt.Errorf("%w: %q for %q", ErrAlias, alias, aliases[alias]))
		}
	}
	return errors.Join(faults...)
}

// faults checks one entry by itself.
func (e *Entry) faults() (faults []error) {
	if e.Model == "" || e.Model != Normalise(e.Model) {
		faults = append(faults, fmt.Errorf("%w: %q, write %q", ErrName, e.Model, Normalise(e.Model)))
	}
	for _, class := range []struct {
		name  string
		price int64
	}{
		{"input", e.Rate.Input},
		{"output", e.Rate.Output},
		{"cache_read", e.Rate.CacheRead},
		{"cache_write_5m", e.Rate.CacheWrite5m},
		{"cache_write_1h", e.Rate.CacheWrite1h},
	} {
		if class.price < 0 || class.price > quota.MaxRate {
			faults = append(faults, fmt.Errorf("%w: %s: %s is %d, must be from 0 to %d micro-USD per million tokens",
				ErrPrice, e.describe(), class.name, class.price, quota.MaxRate))
		}
	}
	if e.To != 0 && e.To <= e.From {
		faults = append(faults, fmt.Errorf("%w: %s", ErrPeriod, e.describe()))
	}
	if e.BatchPermille < 0 || e.BatchPermille > Whole || e.AboveInput < 0 || e.From < 0 || e.To < 0 {
		faults = append(faults, fmt.Errorf("%w: %s: batch %d, above %d", ErrBatch, e.describe(), e.BatchPermille, e.AboveInput))
	}
	return faults
}

// sequenceFaults finds overlaps and gaps among the periods of one model and tier.
func sequenceFaults(rows []Entry) (faults []error) {
	slices.SortFunc(rows, func(a, b Entry) int { return compare(a.From, b.From) })
	for i := 1; i < len(rows); i++ {
		before, after := &rows[i-1], &rows[i]
		switch {
		case before.To == 0 || after.From == 0 || before.To > after.From:
			faults = append(faults, fmt.Errorf("%w: %s and %s", ErrOverlap, before.describe(), after.describe()))
		case before.To < after.From:
			faults = append(faults, fmt.Errorf("%w: %s and %s", ErrGap, before.describe(), after.describe()))
		}
	}
	return faults
}

// baseFaults finds long-context prices whose period no ordinary price covers at both ends. Gaps between ordinary
// periods are reported by sequenceFaults, so the ends suffice.
func baseFaults(tier, base []Entry) (faults []error) {
	for i := range tier {
		e := &tier[i]
		starts := slices.ContainsFunc(base, func(b Entry) bool { return b.From <= e.From && (b.To == 0 || e.From < b.To) })
		ends := slices.ContainsFunc(base, func(b Entry) bool {
			if e.To == 0 {
				return b.To == 0
			}
			return b.From < e.To && (b.To == 0 || e.To <= b.To)
		})
		if !starts || !ends {
			faults = append(faults, fmt.Errorf("%w: %s", ErrNoBase, e.describe()))
		}
	}
	return faults
}

// describe names an entry for a person.
func (e *Entry) describe() string {
	tier := ""
	if e.AboveInput > 0 {
		tier = fmt.Sprintf(" above %d input tokens", e.AboveInput)
	}
	return fmt.Sprintf("%s%s from %s to %s", e.Model, tier, day(e.From), day(e.To))
}

func day(i quota.Instant) string {
	if i == 0 {
		return "open"
	}
	return i.Time().Format(time.RFC3339)
}
