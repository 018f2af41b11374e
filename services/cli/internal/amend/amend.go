// Package amend writes the change that a suggestion advises into the text of a configuration, for an operator to review.
//
// It changes the lines that have to change and no others: comments, order and layout stay. What it writes is checked like
// any other configuration. It changes no file and applies nothing.
package amend

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/wire"
)

// ErrNothing: the configuration says already what is advised, or what is advised is nothing that it could say.
var ErrNothing = errors.New("there is nothing to change in the configuration")

// kinds of changes, as on the wire.
const (
	preferAccount = "prefer_account"
	addAccounts   = "add_accounts"
	changeTier    = "change_tier"
	setCapacity   = "set_capacity"
	lendFloor     = "lend_floor"
	boundFanOut   = "bound_fan_out"
)

// Amend gives the configuration with a change in it. Its errors say what is in the way: [ErrNothing], or a form of the file
// in which the place is not found.
func Amend(file string, text []byte, c *wire.SuggestionChange) ([]byte, error) {
	d, err := read(text)
	if err != nil {
		return nil, err
	}
	switch c.Kind {
	case preferAccount:
		err = d.prefer(c)
	case addAccounts:
		err = d.addAccounts(c)
	case changeTier:
		err = d.changeTier(c)
	case setCapacity:
		err = d.setCapacity(c)
	case lendFloor:
		err = d.lend(c)
	case boundFanOut:
		err = d.boundFanOut(c)
	default:
		err = fmt.Errorf("%w: this is up to the agents", ErrNothing)
	}
	if err != nil {
		return nil, err
	}
	amended := []byte(d.text())
	if string(amended) == string(text) {
		return nil, ErrNothing
	}
	if _, err := config.Parse(file, amended); err != nil {
		return nil, fmt.Errorf("the changed configuration would have faults: %w", err)
	}
	return amended, nil
}

// prefer moves the target in front of the account.
func (d *document) prefer(c *wire.SuggestionChange) error {
	accounts := get(d.root, "accounts")
	target, account := named(accounts, "id", c.Target), named(accounts, "id", c.Account)
	if target == nil || account == nil {
		return fmt.Errorf("the configuration does not have both the accounts %s and %s", c.Target, c.Account)
	}
	list := items(accounts)
	if slices.Index(list, target) < slices.Index(list, account) {
		return fmt.Errorf("%w: %s stands before %s already; it is up to the agents to reserve at the provider and name no account, and to work with %s",
			ErrNothing, c.Target, c.Account, c.Target)
	}
	if err := block(accounts, "the accounts"); err != nil {
		return err
	}
	return d.before(target, account)
}

func (d *document) addAccounts(c *wire.SuggestionChange) error {
	accounts := get(d.root, "accounts")
	if err := block(accounts, "the accounts"); err != nil {
		return err
	}
	var texts []string
	for n := 1; len(texts) < int(c.Amount); n++ {
		id := fmt.Sprintf("%s-%s-%d", c.Provider, strings.ReplaceAll(c.Tier, "_", "-"), n)
		if named(accounts, "id", id) == nil {
			texts = append(texts, fmt.Sprintf("{id: %s, provider: %s, tier: %s}", id, c.Provider, c.Tier))
		}
	}
	return d.prepend(accounts, texts...)
}

// changeTier sets the tier, and the capacities that the account states of its own.
func (d *document) changeTier(c *wire.SuggestionChange) error {
	account := func() ast.Node { return named(get(d.root, "accounts"), "id", c.Account) } // anew after each edit
	if account() == nil {
		return fmt.Errorf("the configuration has no account %s", c.Account)
	}
	if err := d.put(account(), "tier", c.Tier); err != nil {
		return err
	}
	_, limits, _ := config.Plan(c.Provider, c.Tier, c.Account)
	for _, l := range limits {
		stated := get(named(get(account(), "limits"), "name", l.Name), "capacity")
		if stated == nil {
			continue
		}
		if err := d.set(stated, number(l.Capacity)); err != nil {
			return err
		}
	}
	return nil
}

// number writes a number with groups of three digits, as configurations do.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "_" + digits[i:]
	}
	return digits
}

// setCapacity finds the limit among those of its own, those of its account, or a team's ceilings.
func (d *document) setCapacity(c *wire.SuggestionChange) error {
	if l := named(get(d.root, "limits"), "id", c.LimitID); l != nil {
		return d.put(l, "capacity", number(c.Amount))
	}
	owner, name, _ := strings.Cut(c.LimitID, "/")
	if account := named(get(d.root, "accounts"), "id", owner); account != nil {
		limits := get(account, "limits")
		switch l := named(limits, "name", name); {
		case l != nil:
			return d.put(l, "capacity", number(c.Amount))
		case limits == nil:
			return d.add(account, "limits", fmt.Sprintf("[{name: %s, capacity: %s}]", name, number(c.Amount)))
		}
		if err := block(limits, "the limits of account "+owner); err != nil {
			return err
		}
		return d.prepend(limits, fmt.Sprintf("{name: %s, capacity: %s}", name, number(c.Amount)))
	}
	unit, period, _ := strings.Cut(name, "/")
	if at := get(get(get(named(get(d.root, "teams"), "name", owner), "ceilings"), unit), period); at != nil {
		return d.set(at, number(c.Amount))
	}
	return fmt.Errorf("the configuration has no limit %s", c.LimitID)
}

func (d *document) lend(c *wire.SuggestionChange) error {
	share := named(get(named(get(d.root, "teams"), "name", c.Team), "shares"), "limit", c.LimitID)
	if share == nil {
		return fmt.Errorf("the configuration gives team %s no share of %s", c.Team, c.LimitID)
	}
	return d.put(share, "lend_percent", strconv.FormatInt(c.Amount, 10))
}

func (d *document) boundFanOut(c *wire.SuggestionChange) error {
	team, bound := named(get(d.root, "teams"), "name", c.Team), strconv.FormatInt(c.Amount, 10)
	switch {
	case team == nil:
		return fmt.Errorf("the configuration has no team %s", c.Team)
	case len(pairs(team)) == 0:
		return d.set(team, fmt.Sprintf("{name: %s, fan_out: {live_per_agent: %s}}", c.Team, bound))
	case get(team, "fan_out") != nil:
		return d.put(get(team, "fan_out"), "live_per_agent", bound)
	}
	return d.add(team, "fan_out", "{live_per_agent: "+bound+"}")
}
