package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// declared are the names that a section declares. Those of entries with another fault count, so that a reference to what
// nobody declares is told beside that fault.
type declared struct {
	names   []string        // once each, in the order of the file
	damaged map[string]bool // names of entries that have a fault
	whole   bool            // every name could be read: otherwise one that is missed may be that of such an entry
}

// open tells whether more may be meant to be said of a name than could be read.
func (d *declared) open(name string) bool {
	return d.damaged[name] || !d.whole && !slices.Contains(d.names, name)
}

// misses tells whether a name is surely declared nowhere.
func (d *declared) misses(name string) bool { return d.whole && !slices.Contains(d.names, name) }

// declared reads the names of a section, once.
func (b *builder) declared(section string) *declared {
	if d, known := b.declarations[section]; known {
		return d
	}
	at := pointer{section}
	d := &declared{
		damaged: map[string]bool{},
		whole:   !slices.ContainsFunc(b.src.bad, func(bad pointer) bool { return slices.Equal(bad, at) }),
	}
	b.declarations[section] = d
	entries, _ := b.src.root[section].([]any)
	seen, paths := map[string]bool{}, placesOf(section).names
	for i := range entries {
		entry, named := at.child(i), false
		whole := b.src.whole(entry)
		for _, path := range paths {
			b.each(entry, path, func(name string, _ pointer) {
				named = true
				if !seen[name] {
					seen[name] = true
					d.names = append(d.names, name)
				}
				if !whole {
					d.damaged[name] = true
				}
			})
		}
		d.whole = d.whole && named
	}
	return d
}

// team reports a team that is referred to and not declared.
func (b *builder) team(name string, at pointer) {
	if teams := b.declared("teams"); name != "" && teams.misses(name) {
		b.c.add(at, fmt.Sprintf("there is no team %q", name), nearest(name, teams.names, "add it to teams"))
	}
}

// provider finds a provider that is referred to, and reports one that is not there; nil means none of which all is known.
func (b *builder) provider(name string, at pointer) *providerRow {
	row := b.table.row(name)
	if providers := b.declared("providers"); row == nil && providers.misses(name) {
		b.c.add(at, fmt.Sprintf("there is no provider %q", name), nearest(name, merged(b.table.names(), providers.names), "add it to providers"))
	}
	return row
}

// account finds an account that is referred to, and reports one that is not there; nil means none of which all is known.
func (b *builder) account(id string, at pointer) *quota.Account {
	if id == "" {
		return nil
	}
	account, _ := b.out.Quota.Account(id)
	if accounts := b.declared("accounts"); account == nil && accounts.misses(id) {
		b.c.add(at, fmt.Sprintf("there is no account %q", id), nearest(id, accounts.names, "add it to accounts"))
	}
	return account
}

// limit finds a limit that is referred to, and reports one that is not there; nil means none of which all is known.
func (b *builder) limit(id string, at pointer) *quota.Limit {
	limits := b.out.Quota.Limits
	if i := slices.IndexFunc(limits, func(l quota.Limit) bool { return l.ID == id }); i >= 0 {
		return &limits[i]
	}
	if b.missesLimit(id) {
		ids := make([]string, len(limits))
		for i := range limits {
			ids[i] = limits[i].ID
		}
		b.c.add(at, fmt.Sprintf("there is no limit %q", id), nearest(id, merged(ids, b.declared("limits").names), "write a limit's id; that of an account's limit is account/name"))
	}
	return nil
}

// missesLimit tells whether an id that no sound limit has is surely nobody's: neither that of a faulty entry, nor one that
// comes from an account, its tier or a team's ceilings of which not all could be read.
func (b *builder) missesLimit(id string) bool {
	if !b.declared("limits").misses(id) {
		return false
	}
	owner, _, owned := strings.Cut(id, "/")
	accounts, teams := b.declared("accounts"), b.declared("teams")
	switch {
	case !owned:
		return true
	case slices.Contains(accounts.names, owner), slices.Contains(teams.names, owner):
		return !accounts.damaged[owner] && !teams.damaged[owner] && !b.unsettled[owner]
	}
	return accounts.whole && teams.whole
}

// merged gives the names of both lists, each once.
func merged(names, more []string) []string {
	all := slices.Clone(names)
	for _, name := range more {
		if !slices.Contains(names, name) {
			all = append(all, name)
		}
	}
	return all
}
