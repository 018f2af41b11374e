package whatif

import (
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

// Kind says what a change does.
type Kind string

// The kinds of changes. They are values of the wire.
const (
	PreferAccount Kind = "prefer_account" // work of Account goes to Target first
	AddAccounts   Kind = "add_accounts"   // Amount more accounts on plan Tier of Provider, preferred
	ChangeTier    Kind = "change_tier"    // Account goes to plan Tier
	SetCapacity   Kind = "set_capacity"   // Limit gets Amount units
	LendFloor     Kind = "lend_floor"     // Team lends Amount percent of its floor of Limit, and the work refused there is preemptible
	BoundFanOut   Kind = "bound_fan_out"  // agents of Team hold at most Amount reservations at once
	WaitInQueue   Kind = "wait_in_queue"  // the work of Agent of Principal waits in the queue for at most Amount ms
	UseModel      Kind = "use_model"      // work of Team and TaskType on Model uses ToModel
	ReserveLess   Kind = "reserve_less"   // work of Team and TaskType reserves Amount percent of what it did
	ShiftWork     Kind = "shift_work"     // work of Team and TaskType that begins in the hours from FromHour to ToHour begins Shift later
	OpenWindow    Kind = "open_window"    // a small request opens Account's window at minute Amount of each day
	ReadCache     Kind = "read_cache"     // Amount percent of the fresh input of Team and TaskType is read from the cache
	SkipCache     Kind = "skip_cache"     // all input of Team and TaskType is plain: nothing is written to the cache or read from it
)

// Change is what would be done otherwise. Which fields count depends on the kind.
type Change struct {
	Kind      Kind         `cbor:"1,keyasint,omitempty"`
	Account   string       `cbor:"2,keyasint,omitempty"`
	Target    string       `cbor:"3,keyasint,omitempty"`
	Provider  string       `cbor:"4,keyasint,omitempty"`
	Tier      string       `cbor:"5,keyasint,omitempty"`
	Limit     string       `cbor:"6,keyasint,omitempty"`
	Team      string       `cbor:"7,keyasint,omitempty"`
	TaskType  string       `cbor:"8,keyasint,omitempty"`
	Principal string       `cbor:"9,keyasint,omitempty"`
	Agent     string       `cbor:"10,keyasint,omitempty"`
	Model     string       `cbor:"11,keyasint,omitempty"`
	ToModel   string       `cbor:"12,keyasint,omitempty"`
	Amount    int64        `cbor:"13,keyasint,omitempty"`
	Shift     quota.Millis `cbor:"14,keyasint,omitempty"`
	FromHour  int          `cbor:"15,keyasint,omitempty"` // UTC
	ToHour    int          `cbor:"16,keyasint,omitempty"` // excluded; may lie beyond 24
	// Configured says that the configuration is so already, and that only the agents do otherwise.
	Configured bool `cbor:"17,keyasint,omitempty"`
}

// Configurable tells whether the change is one of the configuration; others are up to the agents.
func (c *Change) Configurable() bool {
	switch c.Kind {
	case PreferAccount, AddAccounts, ChangeTier, SetCapacity, LendFloor, BoundFanOut:
		return !c.Configured
	}
	return false
}

// concerns tells whether a job is of the change's team, kind of task and model.
func (c *Change) concerns(j *workload.Job) bool {
	return j.Labels.Team == c.Team && j.Labels.TaskType == c.TaskType && (c.Model == "" || j.Labels.Model == c.Model)
}

// configure gives the configuration with the change in it; the given one stays as it is.
func (c *Change) configure(in quota.Config) quota.Config {
	out := in
	out.Accounts, out.Limits, out.Teams = slices.Clone(in.Accounts), slices.Clone(in.Limits), slices.Clone(in.Teams)
	switch c.Kind {
	case AddAccounts:
		var added []quota.Account
		for i := range c.Amount {
			account, limits, ok := config.Plan(c.Provider, c.Tier, newAccount(c.Tier, i))
			if ok {
				added = append(added, account)
				out.Limits = append(out.Limits, limits...)
			}
		}
		out.Accounts = append(added, out.Accounts...)
	case ChangeTier:
		c.changeTier(&out)
	case SetCapacity:
		for i := range out.Limits {
			if out.Limits[i].ID == c.Limit {
				out.Limits[i].Capacity, out.Limits[i].Fixed = c.Amount, true
			}
		}
	case LendFloor:
		c.lend(&out)
	case BoundFanOut:
		i := slices.IndexFunc(out.Teams, func(t quota.Team) bool { return t.Name == c.Team })
		if i < 0 {
			i = len(out.Teams)
			out.Teams = append(out.Teams, quota.Team{Name: c.Team})
		}
		out.Teams[i].FanOut.LivePerAgent = c.Amount
	}
	return out
}

// newAccount names an account that a change adds.
func newAccount(tier string, i int64) string { return fmt.Sprintf("new-%s-%d", tier, i+1) }

// added lists the accounts that the change adds.
func (c *Change) added() (ids []string) {
	if c == nil || c.Kind != AddAccounts {
		return nil
	}
	for i := range c.Amount {
		ids = append(ids, newAccount(c.Tier, i))
	}
	return ids
}

// changeTier gives an account the capacities of another plan.
func (c *Change) changeTier(out *quota.Config) {
	for i := range out.Accounts {
		if out.Accounts[i].ID == c.Account {
			out.Accounts[i].Tier = c.Tier
		}
	}
	_, limits, _ := config.Plan(c.Provider, c.Tier, c.Account)
	for i := range out.Limits {
		for _, l := range limits {
			if l.ID == out.Limits[i].ID {
				out.Limits[i].Capacity, out.Limits[i].Fixed = l.Capacity, true
			}
		}
	}
}

// lend has a team lend of its floor.
func (c *Change) lend(out *quota.Config) {
	const ofPercent = 1000
	for i := range out.Teams {
		t := &out.Teams[i]
		if t.Name != c.Team {
			continue
		}
		t.Shares = slices.Clone(t.Shares)
		for k := range t.Shares {
			if t.Shares[k].Limit == c.Limit {
				t.Shares[k].LendPart = c.Amount * ofPercent
			}
		}
	}
}

// rewrite changes a job to what it would have been.
func (c *Change) rewrite(j *workload.Job) {
	switch c.Kind {
	case UseModel:
		if c.concerns(j) {
			j.Labels.Model = c.ToModel
		}
	case ReserveLess:
		if c.concerns(j) && j.Granted {
			j.Asked.Tokens = part(j.Asked.Tokens, c.Amount)
		}
	case ShiftWork:
		const day = 24
		if hour := j.Arrives.Time().UTC().Hour(); c.concerns(j) && !j.Live && (hour-c.FromHour+day)%day < c.ToHour-c.FromHour {
			j.Arrives = j.Arrives.Add(c.Shift)
		}
	case WaitInQueue:
		if j.Labels.Principal == c.Principal && j.Labels.Agent == c.Agent && !j.Unreserved {
			j.MaxWait = max(j.MaxWait, quota.Millis(c.Amount))
		}
	case LendFloor:
		if j.Limit == c.Limit && !j.Granted && j.Labels.Team != c.Team {
			j.Preemptible = true
		}
	case ReadCache, SkipCache:
		if !c.concerns(j) {
			return
		}
		for i := range j.Steps {
			j.Steps[i].Used.Tokens = c.cached(j.Steps[i].Used.Tokens)
		}
	}
}

// cached moves tokens between the classes of input.
func (c *Change) cached(t quota.Tokens) quota.Tokens {
	if c.Kind == SkipCache {
		t.Input += t.CacheRead + t.CacheWrite5m + t.CacheWrite1h
		t.CacheRead, t.CacheWrite5m, t.CacheWrite1h = 0, 0, 0
		return t
	}
	read := t.Input * c.Amount / percent
	t.Input -= read
	t.CacheRead += read
	return t
}

const percent = 100

// part is so many percent of tokens, rounded up.
func part(t quota.Tokens, of int64) quota.Tokens {
	by := func(n int64) int64 { return (n*of + percent - 1) / percent }
	return quota.Tokens{Input: by(t.Input), CacheRead: by(t.CacheRead), CacheWrite5m: by(t.CacheWrite5m), CacheWrite1h: by(t.CacheWrite1h), Output: by(t.Output)}
}
