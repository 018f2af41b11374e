package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/whatif"
)

const (
	// RuleProviderSwitch is the name of [ProviderSwitch].
	RuleProviderSwitch = "provider_switch"
	// SpendFactor: API spending is well above a subscription's use from more than this many times on.
	SpendFactor = 2
	// MinSpend is the API spending in micro-USD over a window below which a switch is not worth anybody's time.
	MinSpend = 100_000
)

// ProviderSwitch finds API accounts whose spending is more than SpendFactor times the use of a subscription that was
// already paid for and had room. Both sides are valued at the catalogue's prices.
//
// The saving is the price of the API's tokens that the subscription could have carried: slot by slot, within what its
// windows left over, in its own weights. Another provider's subscription only counts for kinds of tasks that its team
// has already done there.
//
// The confidence is wilson(k, n) over the n slots with API spending, k of which were above the factor by themselves,
// times the share of the tokens that have a price, times the share of the spending that could be moved at all.
func ProviderSwitch(w *Window) []Advice {
	rooms := w.rooms()
	var found []Advice
	for _, api := range w.apisBySpending() {
		var best move
		for i := range rooms {
			if m := w.plan(api, &rooms[i]); m.better(best) {
				best = m
			}
		}
		if best.saving > 0 {
			best.take()
			found = append(found, best.advice())
		}
	}
	return found
}

// spender is an API account and what was spent on it.
type spender struct {
	account quota.Account
	usage   Usage
}

// apisBySpending lists the API accounts worth looking at, the dearest first.
func (w *Window) apisBySpending() []spender {
	var apis []spender
	for _, a := range w.Config.Accounts {
		if a.Kind != quota.KindAPI {
			continue
		}
		if u := w.usageOf(a.ID); u.Cost >= MinSpend {
			apis = append(apis, spender{a, u})
		}
	}
	slices.SortStableFunc(apis, func(a, b spender) int { return cmp.Compare(b.usage.Cost, a.usage.Cost) })
	return apis
}

// usageOf sums up an account.
func (w *Window) usageOf(account string) (sum Usage) {
	for _, s := range w.slots {
		for k, u := range s.Usage {
			if k.Account == account {
				sum.Tokens = sum.Tokens.Add(u.Tokens)
				sum.Cost += u.Cost
				sum.Unpriced += u.Unpriced
			}
		}
	}
	return sum
}

// perMillion is the price of a million tokens as they were used.
func (u Usage) perMillion() int64 { return scale(u.Cost, 1_000_000, u.Tokens.Total()) }

// move is a plan to move work from an API account to a subscription.
type move struct {
	api     spender
	room    *room
	left    room // after the move
	carried int64
	movable int64 // cost of what could be moved if there were room
	saving  int64
	hits    int64 // slots above the factor
	// preferred tells that the subscription stands before the API account in the configuration.
	preferred bool
	slots     int64 // slots with API spending
}

// better prefers the larger saving; of equal ones the subscription of the same provider, then the first.
func (m move) better(than move) bool {
	if m.saving != than.saving {
		return m.saving > than.saving
	}
	return m.saving > 0 && m.sameProvider() && !than.sameProvider()
}

func (m move) sameProvider() bool {
	return m.room != nil && m.api.account.Provider == m.room.account.Provider
}

// take uses up the room, so that no other move counts on it.
func (m move) take() { *m.room = m.left }

// plan works out what could have been moved.
func (w *Window) plan(api spender, r *room) move {
	m := move{api: api, room: r, left: r.clone(), preferred: w.standsBefore(r.account.ID, api.account.ID)}
	if len(r.long)+len(r.short) == 0 || api.usage.Cost <= SpendFactor*r.used.Cost {
		return m
	}
	done := w.tasksOn(r.account.ID)
	for _, s := range w.inOrder() {
		var apiCost, roomCost int64
		var jobs []job
		for k, u := range s.Usage {
			switch k.Account {
			case r.account.ID:
				roomCost += u.Cost
			case api.account.ID:
				apiCost += u.Cost
				if r.admits(k, m.sameProvider(), done) {
					jobs = append(jobs, job{k, u})
				}
			}
		}
		if apiCost > 0 {
			m.slots++
			if apiCost > SpendFactor*roomCost {
				m.hits++
			}
		}
		slices.SortFunc(jobs, job.before)
		for _, j := range jobs {
			m.movable += j.usage.Cost
			carried, saving := m.left.carry(s.Start, j, m.sameProvider())
			m.carried += carried
			m.saving += saving
		}
	}
	return m
}

// standsBefore tells whether an account stands before another one of the configuration.
func (w *Window) standsBefore(account, other string) bool {
	for _, a := range w.Config.Accounts {
		if a.ID == account || a.ID == other {
			return a.ID == account
		}
	}
	return false
}

type job struct {
	key   UsageKey
	usage Usage
}

// before puts the dearest per token first, so that scarce room goes to where it saves most.
func (j job) before(o job) int {
	return cmp.Or(cmp.Compare(o.usage.perMillion(), j.usage.perMillion()), cmp.Compare(j.key.Team, o.key.Team),
		cmp.Compare(j.key.Model, o.key.Model), cmp.Compare(j.key.TaskType, o.key.TaskType))
}

// tasksOn lists the kinds of tasks done on an account, by team.
func (w *Window) tasksOn(account string) map[ClosedKey]bool {
	done := map[ClosedKey]bool{}
	for _, s := range w.slots {
		for k := range s.Usage {
			if k.Account == account && k.TaskType != "" {
				done[ClosedKey{k.Team, k.TaskType}] = true
			}
		}
	}
	return done
}

// how says how work is moved: by the order of the accounts, or, where that is right, by whoever names an account or works
// with its key.
func (m move) how() string {
	if m.preferred {
		return "it stands first already, so reserve at the provider without naming an account, and work with " + m.room.account.ID
	}
	return "put " + m.room.account.ID + " first among the accounts and let the teams use it"
}

func (m move) advice() Advice {
	used := m.room.used.Cost
	tokens := m.api.usage.Tokens.Total()
	priced := whole - scale(whole, m.api.usage.Unpriced, tokens)
	suitable := scale(whole, m.movable, m.api.usage.Cost)
	api, sub := m.api.account, m.room.account
	return Advice{
		Rule:    RuleProviderSwitch,
		Subject: Subject{Provider: api.Provider, Account: api.ID, Target: sub.ID},
		Title: fmt.Sprintf("API account %s spent %s in 7 days, %s times what subscription %s carried (%s at the same prices)",
			api.ID, usd(m.api.usage.Cost), times(m.api.usage.Cost, used), sub.ID, usd(used)),
		Advice: fmt.Sprintf("Move work from %s to %s, which had room for %d%% of that spending: %s.",
			api.ID, sub.ID, percent(m.saving, m.api.usage.Cost), m.how()),
		Saving:     m.saving,
		Basis:      AvoidableSpend,
		Change:     whatif.Change{Kind: whatif.PreferAccount, Account: api.ID, Target: sub.ID, Configured: m.preferred},
		Confidence: wilson(m.hits, m.slots) * priced / whole * suitable / whole,
		Evidence: []Evidence{
			{"api_spending", m.api.usage.Cost, unitMicroUSD},
			{"subscription_use", used, unitMicroUSD},
			{"api_tokens", tokens, unitTokens},
			{"movable_spending", m.movable, unitMicroUSD},
			{"tokens_with_room", m.carried, unitTokens},
			{"slots_with_api_spending", m.slots, unitCount},
			{"slots_above_factor", m.hits, unitCount},
			{"unpriced_tokens", m.api.usage.Unpriced, unitTokens},
		},
	}
}
