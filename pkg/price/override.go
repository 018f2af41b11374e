package price

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// WithOverrides gives a catalogue in which the operator's prices hold: for each model named, from the override's
// instant on (0 = always) until the next override of the same model. Before the first one the catalogue's own prices
// stay. From then on the model has no long-context surcharge, and keeps the batch discount it had, if it had one: a
// discount is the provider's rule, a price may be a contract's. The receiver does not change.
//
// Overrides are validated like entries; faults come back joined, each one of the errors of Validate.
func (c *Catalogue) WithOverrides(overrides []quota.PriceOverride) (*Catalogue, error) {
	byModel := map[string][]quota.PriceOverride{}
	for _, o := range overrides {
		o.Model = Normalise(o.Model)
		byModel[o.Model] = append(byModel[o.Model], o)
	}
	aliases := make(map[string]string, len(c.aliases))
	for alias, model := range c.aliases {
		if _, named := byModel[alias]; !named { // a price of its own beats a second name
			aliases[alias] = model
		}
	}
	var entries []Entry
	for _, model := range c.Models() {
		if _, overridden := byModel[model]; !overridden {
			entries = append(entries, c.byModel[model]...)
		}
	}
	for _, model := range slices.Sorted(maps.Keys(byModel)) {
		own := byModel[model]
		slices.SortStableFunc(own, func(a, b quota.PriceOverride) int { return cmp.Compare(a.From, b.From) })
		entries = append(entries, c.overridden(model, own)...)
	}
	made, err := New(entries, aliases)
	if err != nil {
		return nil, fmt.Errorf("price overrides: %w", err)
	}
	return made, nil
}

// overridden lists the entries of one model: what was there before the first override, then the overrides.
func (c *Catalogue) overridden(model string, own []quota.PriceOverride) []Entry {
	var entries []Entry
	first := own[0].From
	base := c.Entries(model)
	for _, e := range base {
		if first == 0 || e.From >= first {
			continue
		}
		if e.To == 0 || e.To > first {
			e.To = first
		}
		e.Model = model
		entries = append(entries, e)
	}
	for i, o := range own {
		e := Entry{Model: model, From: o.From, Rate: o.Rate}
		if i+1 < len(own) {
			e.To = own[i+1].From
		}
		for _, b := range base {
			if b.AboveInput == 0 && b.covers(o.From) {
				e.Provider, e.BatchPermille = b.Provider, b.BatchPermille
			}
		}
		entries = append(entries, e)
	}
	return entries
}
