package config

import (
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

// providerTable is the table of providers: the built-in rows, then the file's.
type providerTable struct{ rows []*providerRow }

// providerRow is one provider with what its tiers give to accounts.
type providerRow struct {
	name   string
	groups []quota.ModelGroup
	tiers  []tier
}

type tier struct {
	name   string
	kind   quota.AccountKind
	limits []quota.Limit // without id and account; Name is set
}

func (t *providerTable) row(name string) *providerRow {
	for _, r := range t.rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

func (t *providerTable) names() []string {
	names := make([]string, len(t.rows))
	for i, r := range t.rows {
		names[i] = r.name
	}
	return names
}

// quota converts the table for the state machine.
func (t *providerTable) quota() []quota.Provider {
	made := make([]quota.Provider, 0, len(t.rows))
	for _, r := range t.rows {
		p := quota.Provider{Name: r.name, ModelGroups: r.groups}
		for _, t := range r.tiers {
			var capacities map[string]int64 // nil when empty, as it comes back from the record
			for _, l := range t.limits {
				if l.Capacity > 0 {
					if capacities == nil {
						capacities = map[string]int64{}
					}
					capacities[l.Name] = l.Capacity
				}
			}
			p.Tiers = append(p.Tiers, quota.Tier{Name: t.name, Capacities: capacities})
		}
		made = append(made, p)
	}
	return made
}

func (r *providerRow) hasGroup(name string) bool {
	return slices.ContainsFunc(r.groups, func(g quota.ModelGroup) bool { return g.Name == name })
}

func (r *providerRow) groupNames() []string {
	names := make([]string, len(r.groups))
	for i, g := range r.groups {
		names[i] = g.Name
	}
	return names
}

func (r *providerRow) tier(name string) *tier {
	for i := range r.tiers {
		if r.tiers[i].name == name {
			return &r.tiers[i]
		}
	}
	return nil
}

func (r *providerRow) tierNames() []string {
	names := make([]string, len(r.tiers))
	for i, t := range r.tiers {
		names[i] = t.name
	}
	return names
}

// providers adds the rows of the file to the table. The rows it started with stay as they are.
func (b *builder) providers() {
	table := &providerTable{}
	for _, r := range b.table.rows {
		table.rows = append(table.rows, &providerRow{r.name, slices.Clone(r.groups), slices.Clone(r.tiers)})
	}
	b.table = table
	seen := names{}
	for _, p := range list[rawProvider](&b.src, "providers") {
		if !b.unique(seen, p.raw.Name, p.at.child("name"), "provider") {
			continue
		}
		row := table.row(p.raw.Name)
		if row == nil {
			row = &providerRow{name: p.raw.Name}
			table.rows = append(table.rows, row)
		}
		b.groups(row, p)
		b.tiers(row, p)
	}
}

func (b *builder) groups(row *providerRow, p item[rawProvider]) {
	seen := names{}
	for i, g := range p.raw.ModelGroups {
		if !b.unique(seen, g.Name, p.at.child("model_groups", i, "name"), "model group") {
			continue
		}
		row.groups = slices.DeleteFunc(row.groups, func(old quota.ModelGroup) bool { return old.Name == g.Name })
		row.groups = append(row.groups, quota.ModelGroup{Name: g.Name, Models: g.Models})
	}
}

func (b *builder) tiers(row *providerRow, p item[rawProvider]) {
	seen := names{}
	for i, raw := range p.raw.Tiers {
		at := p.at.child("tiers", i)
		if !b.unique(seen, raw.Name, at.child("name"), "tier") {
			continue
		}
		t := tier{name: raw.Name, kind: quota.AccountKind(raw.Kind)}
		limitNames := names{}
		for j, l := range raw.Limits {
			limitAt := at.child("limits", j)
			for _, made := range b.tierLimits(row, t.kind, l, limitAt) {
				if b.unique(limitNames, made.Name, limitAt.child("name"), "limit") {
					t.limits = append(t.limits, made)
				}
			}
		}
		row.tiers = slices.DeleteFunc(row.tiers, func(old tier) bool { return old.name == t.name })
		row.tiers = append(row.tiers, t)
	}
}

// tierLimits makes one limit, or one for each model group.
func (b *builder) tierLimits(row *providerRow, kind quota.AccountKind, raw rawLimit, at pointer) []quota.Limit {
	var limit quota.Limit
	limit.Name = raw.Name
	b.fill(&limit, raw, at, mayLearn(kind))
	if raw.ModelGroup != "" {
		b.group(row, raw.ModelGroup, at.child("model_group"))
		limit.Scope.ModelGroup = raw.ModelGroup
	}
	if len(raw.EachModelGroup) == 0 {
		return []quota.Limit{limit}
	}
	made := make([]quota.Limit, 0, len(raw.EachModelGroup))
	for i, g := range raw.EachModelGroup {
		b.group(row, g, at.child("each_model_group", i))
		one := limit
		one.Name = raw.Name + "/" + g
		one.Scope.ModelGroup = g
		made = append(made, one)
	}
	return made
}

// group reports a model group that the provider does not have.
func (b *builder) group(row *providerRow, name string, at pointer) {
	if !row.hasGroup(name) && !b.declared("providers").open(row.name) {
		b.c.add(at, fmt.Sprintf("provider %s has no model group %q", row.name, name), nearest(name, row.groupNames(), "add it to the provider's model_groups"))
	}
}

// mayLearn tells whether observations can teach the capacity of an account's windows: only subscriptions publish
// percentages.
func mayLearn(kind quota.AccountKind) bool { return kind == quota.KindSubscription }
