package config

import (
	"slices"
	"strings"
)

// places are where the entries of a section have what can be judged even if the rest of the entry is faulty: keys with
// slashes between them, * for each item of a list, and . for the entry itself.
type places struct {
	section, what string
	names         []string
	zones         []string
	teams         []string // that are referred to
	accounts      []string
	providers     []string
	limits        []string // that teams have in common
}

func allPlaces() []places {
	return []places{
		{section: "teams", what: "team", names: []string{"name", "."}, zones: []string{"ceilings/zone"}, limits: []string{"shares/*/limit"}},
		{section: "providers", what: "provider", names: []string{"name"}, zones: []string{"tiers/*/limits/*/window/zone"}},
		{section: "accounts", what: "account", names: []string{"id"}, zones: []string{"limits/*/window/zone"}, teams: []string{"teams/*"}, providers: []string{"provider"}},
		{section: "limits", what: "limit id", names: []string{"id"}, zones: []string{"window/zone"}, teams: []string{"scope/team"}, accounts: []string{"scope/account"}},
		{section: "principals", what: "principal", names: []string{"name"}, teams: []string{"team"}, accounts: []string{"accounts/*"}},
	}
}

func placesOf(section string) places {
	all := allPlaces()
	return all[slices.IndexFunc(all, func(p places) bool { return p.section == section })]
}

// damaged judges what can be judged of entries in which the schema found faults, so that one look tells of it too: names that
// stand twice, and zones, teams, accounts, providers and limits that are not there. All else may depend on what is faulty.
func (b *builder) damaged() {
	for _, p := range allPlaces() {
		entries, _ := b.src.root[p.section].([]any)
		seen, entire := names{}, map[string]bool{}
		for i := range entries {
			at := pointer{p.section}.child(i)
			whole := b.src.whole(at)
			named := func(name string, at pointer) {
				first, twice := seen[name]
				switch {
				case !twice:
					seen[name], entire[name] = at, whole
				case !whole || !entire[name]: // of two that are whole it is told already
					b.unique(names{name: first}, name, at, p.what)
				}
			}
			for _, path := range p.names {
				b.each(at, path, named)
			}
			if whole {
				continue
			}
			for _, path := range p.zones {
				b.each(at, path, b.zone)
			}
			for _, path := range p.teams {
				b.each(at, path, b.team)
			}
			for _, path := range p.accounts {
				b.each(at, path, func(id string, at pointer) { b.account(id, at) })
			}
			for _, path := range p.providers {
				b.each(at, path, func(name string, at pointer) { b.provider(name, at) })
			}
			for _, path := range p.limits {
				b.each(at, path, func(id string, at pointer) { b.shareable(id, at) })
			}
		}
	}
}

// each visits the texts at a path below a place that are no fault themselves.
func (b *builder) each(at pointer, path string, visit func(text string, at pointer)) {
	found := []pointer{at}
	for step := range strings.SplitSeq(path, "/") {
		var below []pointer
		for _, at := range found {
			switch step {
			case ".":
				below = append(below, at)
			case "*":
				items, _ := lookup(b.src.root, at).([]any)
				for i := range items {
					below = append(below, at.child(i))
				}
			default:
				below = append(below, at.child(step))
			}
		}
		found = below
	}
	for _, at := range found {
		text, isText := lookup(b.src.root, at).(string)
		if isText && !slices.ContainsFunc(b.src.bad, func(bad pointer) bool { return slices.Equal(bad, at) }) {
			visit(text, at)
		}
	}
}
