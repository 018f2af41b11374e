package quota

import (
	"fmt"
	"strings"
)

// MaxStringLen bounds every name and text in a command, in bytes.
const MaxStringLen = 256

// Env is what a decision depends on besides state and command.
type Env struct {
	Now    Instant // never before State.Now
	Prices Prices
}

// Decide answers a command: the events that make it so, to be applied in order, and the result. It changes nothing and
// is deterministic. A command that is refused for quota yields a ReservationDenied event; one that is invalid yields none.
// The caller must have applied the events of a [Tick] at env.Now first.
func Decide(s *State, cmd Command, env Env) ([]Event, Result) {
	d := decider{state: s, env: env}
	switch c := cmd.(type) {
	case Reserve:
		return d.reserve(c)
	case Report:
		return d.report(c)
	case Settle:
		return d.settle(c)
	case Release:
		return d.release(c)
	case Extend:
		return d.extend(c)
	case Observe:
		return d.observe(c)
	case ObserveAll:
		return d.observeAll(c)
	case Acknowledge:
		return d.acknowledge(c)
	case Revoke:
		return d.revoke(c)
	case Block:
		return d.block(c)
	case Unblock:
		return d.unblock(c)
	case ApplyConfig:
		return d.applyConfig(c)
	case Tick:
		return d.tick(), Result{}
	default:
		return nil, invalid("unknown command %T", cmd)
	}
}

// decider carries what every rule needs.
type decider struct {
	state *State
	env   Env
}

func invalid(format string, args ...any) Result {
	return Result{Code: CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// notFound names the agent, where one asks: a reservation of another one is none of its own. What waits in the queue is not
// there yet either.
func (d decider) notFound(id string, by Actor, recorded bool) Result {
	r := Result{Code: CodeAllocationNotFound, Reservation: id, Recorded: recorded}
	w := d.state.queue.entries[id]
	waits := w != nil && w.actor() == by
	if waits {
		r.Message = fmt.Sprintf("reservation %q waits in the queue: report after its grant, or release it", id)
	} else {
		r.Message = fmt.Sprintf("no open or recently closed reservation %q", id)
		if by.Agent != "" {
			r.Message += fmt.Sprintf(" of agent %q", by.Agent)
		}
	}
	switch {
	case recorded:
		r.Message += "; the usage is recorded all the same"
	case !waits && by.Agent == "":
		r.Message += "; reservations tells those there are"
	case !waits:
		r.Message += "; list tells those there are, and further work takes a new reserve"
	}
	return r
}

// checkText refuses texts that are too long; names and values alternate.
func checkText(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if len(pairs[i+1]) > MaxStringLen {
			return fmt.Errorf("%s has %d bytes, at most %d are allowed", pairs[i], len(pairs[i+1]), MaxStringLen)
		}
	}
	return nil
}

// owned finds a reservation of the actor's, open or recently closed; nil for none, and for somebody else's, so that
// nothing is learned of those.
func (s *State) owned(id string, actor Actor) *Reservation {
	r := s.reservations[id]
	if r == nil {
		r = s.closed[id]
	}
	if r == nil || r.actor() != actor {
		return nil
	}
	return r
}

// reserve climbs the ladder; see ladder.go.
func (d decider) reserve(c Reserve) ([]Event, Result) {
	principal, problem := d.validateReserve(&c)
	if problem != nil {
		return nil, *problem
	}
	labels := Labels{
		Principal: c.Actor.Principal, Agent: c.Actor.Agent, Team: principal.Team, Provider: c.Provider, Account: c.Account,
		Model: c.Model, TaskType: c.TaskType, Complexity: c.Complexity, Priority: min(c.Priority, principal.MaxPriority),
		Files: c.Files, Estimated: c.Estimated,
	}
	wish := wishOf(&c)
	up := climb{decider: d, wish: &wish, base: labels}
	begun := up.begin(&principal) == nil
	if events, result, ok := d.denyUnknown(&c, &up); ok {
		return events, result
	}
	if begun {
		if o := up.run(d.state.Config.Policy.beforeQueue()); o != nil {
			return d.grant(c.Reservation, &up, o)
		}
	}
	var reclaimed []Event
	if begun {
		reclaimed = up.reclaim()
	}
	if events, result, ok := d.wait(&c, &up, reclaimed); ok {
		return append(reclaimed, events...), result
	}
	if begun {
		if o := up.run(d.state.Config.Policy.afterQueue()); o != nil {
			return d.grant(c.Reservation, &up, o)
		}
	}
	events, result := d.denyClimb(&c, &up, &principal, reclaimed)
	return append(reclaimed, events...), result
}

// wishOf is what is kept of a reserve while it waits.
func wishOf(c *Reserve) Wish {
	return Wish{
		Provider: c.Provider, Account: c.Account, Model: c.Model, Amount: c.Amount, MinTokens: c.MinTokens, Lifetime: c.Lifetime,
		Lease: c.Lease, Accounts: c.AcceptAccounts, Providers: c.AcceptProviders, Models: c.AcceptModels, Preemptible: c.Preemptible,
	}
}

// denyClimb refuses with the reason that ends soonest and with what would be granted instead.
func (d decider) denyClimb(c *Reserve, up *climb, p *Principal, reclaimed []Event) ([]Event, Result) {
	best := up.shortest()
	waitForReclaim(best.refusal, reclaimed)
	events, result := d.deny(&best.labels, "", c.Amount, best.refusal)
	e := events[0].(*ReservationDenied)
	if len(up.steps) > 1 {
		e.Steps = up.steps
	}
	e.Alternatives = up.alternatives(p)
	result.Alternatives = e.Alternatives
	if full := d.state.queueFull(c.Actor); full != "" && c.MaxWait > 0 && result.Retryable {
		result.Message += "; " + full
	}
	return events, result
}

// denyUnknown refuses a reserve that would take a provider that nobody knows: passed over, a misspelt name would never be
// noticed. Who waits already is not asked again, so that a configuration may take a provider away.
func (d decider) denyUnknown(c *Reserve, up *climb) ([]Event, Result, bool) {
	for _, name := range c.AcceptProviders {
		if _, ok := d.state.Config.Provider(name); ok {
			continue
		}
		events, result := d.deny(&up.base, "", c.Amount, d.state.Config.unsupported(name, " in accept_providers"))
		result.Provider = name
		return events, result, true
	}
	return nil, Result{}, false
}

func (d decider) validateReserve(c *Reserve) (Principal, *Result) {
	fail := func(format string, args ...any) (Principal, *Result) {
		r := invalid(format, args...)
		return Principal{}, &r
	}
	if c.Amount.Requests == 0 {
		c.Amount.Requests = 1
	}
	if c.Priority == 0 {
		c.Priority = PriorityNormal
	}
	err := checkText("principal", c.Actor.Principal, "agent", c.Actor.Agent, "reservation", c.Reservation, "provider", c.Provider,
		"account", c.Account, "model", c.Model, "task_type", c.TaskType, "complexity", c.Complexity)
	switch {
	case err != nil:
		return fail("%v", err)
	case c.Actor.Principal == "" || c.Actor.Agent == "" || c.Reservation == "":
		return fail("principal, agent and reservation id must not be empty")
	case c.Provider == "" && c.Account == "":
		return fail("name a provider or an account")
	case c.Model == "":
		return fail("name a model: limits and prices depend on it")
	case c.Priority < PriorityLow || c.Priority > PriorityCritical:
		return fail("priority must be low, normal, high or critical")
	case c.Lifetime < 0 || c.Lease < 0:
		return fail("lifetime and lease must not be negative")
	case d.state.reservations[c.Reservation] != nil || d.state.closed[c.Reservation] != nil || d.state.queue.entries[c.Reservation] != nil:
		return fail("reservation id %q is in use", c.Reservation)
	}
	if err := c.Amount.validate(); err != nil {
		return fail("%v", err)
	}
	if err := c.validateTerms(); err != nil {
		return fail("%v", err)
	}
	principal, ok := d.state.Config.Principal(c.Actor.Principal)
	if !ok {
		return fail("principal %q has no team in the configuration; an operator can give it one with bursar apply", c.Actor.Principal)
	}
	if principal.MaxPriority == 0 {
		principal.MaxPriority = PriorityNormal
	}
	return principal, nil
}

// candidates lists the accounts that may serve the request.
func (d decider) candidates(c *Wish, p *Principal, l *Labels) ([]*Account, *refusal) {
	config := &d.state.Config
	if c.Account != "" {
		account, ok := config.Account(c.Account)
		if ok && c.Provider != "" && account.Provider != c.Provider {
			ok = false
		}
		if ok {
			l.Provider = account.Provider
		} else if c.Provider == "" {
			return nil, &refusal{code: CodeSubscriptionInfoUnavailable, message: config.UnknownAccount(c.Account, p)}
		}
	}
	if _, ok := config.Provider(l.Provider); !ok {
		return nil, config.unsupported(l.Provider, "")
	}
	var found []*Account
	for i := range config.Accounts {
		a := &config.Accounts[i]
		if a.Provider == l.Provider && d.acceptable(c, a.ID) && a.openTo(p) {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil, &refusal{code: CodeSubscriptionInfoUnavailable, message: config.noneOpen(l.Provider, p)}
	}
	return found, nil
}

// noneOpen says why no account of a provider can serve a principal, and what it has instead. Where there are any, the wish named others.
func (c *Config) noneOpen(provider string, p *Principal) string {
	if open := c.open(p, provider); len(open) > 0 {
		return fmt.Sprintf("none of the accounts asked for is of provider %q and open to you; write %s", provider, strings.Join(open, ", "))
	}
	return fmt.Sprintf("no account of provider %q is open to team %q; an operator can add one with bursar apply", provider, p.Team)
}

// UnknownAccount says that there is no such account, and which there are: those open to a principal or, without one, all.
func (c *Config) UnknownAccount(id string, p *Principal) string {
	message := fmt.Sprintf("there is no account %q", id)
	if open := c.open(p, ""); len(open) > 0 {
		message += "; write " + strings.Join(open, ", ")
	}
	return message
}

// open lists the accounts that a principal may use or, without one, all; of any provider where none is named.
func (c *Config) open(p *Principal, provider string) (ids []string) {
	for i := range c.Accounts {
		if a := &c.Accounts[i]; (p == nil || a.openTo(p)) && (provider == "" || a.Provider == provider) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// unsupported is the refusal of a provider that is not configured, with where it was named unless that is plain.
func (c *Config) unsupported(provider, where string) *refusal {
	names := make([]string, len(c.Providers))
	for i := range c.Providers {
		names[i] = c.Providers[i].Name
	}
	return &refusal{code: CodeProviderNotSupported,
		message: fmt.Sprintf("provider %q%s is not configured; known are %s", provider, where, strings.Join(names, ", "))}
}

// stopped tells whether an operator's block covers the work wherever it runs.
func (s *State) stopped(l *Labels) *refusal {
	if r := s.blocked(BlockWorkspace, ""); r != nil {
		return r
	}
	if r := s.blocked(BlockTeam, l.Team); r != nil {
		return r
	}
	return s.blocked(BlockAgent, l.Agent)
}

func (s *State) blocked(target BlockTarget, name string) *refusal {
	b, ok := s.blocks[blockKey{target, name}]
	if !ok {
		return nil
	}
	message := "an operator holds back all work"
	if target != BlockWorkspace {
		message = fmt.Sprintf("an operator holds back %s %s", target, name)
	}
	if b.Reason != "" {
		message += ": " + b.Reason
	}
	message += "; ask again later, it is granted once it is resumed"
	return &refusal{code: CodeUnavailable, message: message, retryable: true, retryAfter: retryBlocked, watch: watchOf(target, name)}
}

func (d decider) grant(id string, up *climb, o *offer) ([]Event, Result) {
	policy, now, w := &d.state.Config.Policy, d.env.Now, up.wish
	deadline := now.Add(within(w.Lifetime, policy.MaxLifetime))
	lease := w.Lease
	if lease == 0 {
		lease = policy.Lease
	}
	expires := deadline
	if lease > 0 {
		lease = max(lease, policy.MinLease)
		expires = min(deadline, now.Add(lease))
	}
	held := holds(o.asks)
	e := &ReservationGranted{
		At: now, Reservation: id, Labels: o.labels, Amount: o.amount, Holds: held, Rate: o.rate, Unpriced: !o.priced,
		CostHeld: o.cost, Expires: expires, Deadline: deadline, Lease: lease, Config: d.state.Config.Version,
		Passed: d.state.passedBy(held, &o.labels, id, now), Preemptible: w.Preemptible, Steps: up.steps,
	}
	return []Event{e}, Result{
		Reservation: id, Provider: o.labels.Provider, Account: o.labels.Account, Model: o.labels.Model, Priority: o.labels.Priority,
		Granted: o.amount, CostHeld: o.cost, Unpriced: !o.priced, Expires: expires, Pace: paceAfter(o.asks, now), Version: e.Config,
	}
}

// within caps a span; nothing asked means all that is allowed.
func within(asked, most Millis) Millis {
	if asked <= 0 || asked > most {
		return most
	}
	return asked
}

// paceAfter is the wait once the asks are debited.
func paceAfter(asks []ask, now Instant) (wait Millis) {
	for _, a := range asks {
		if a.limit.Window.Kind == WindowBucket {
			wait = max(wait, a.counter.bucketWait(a.limit, now, a.units))
		}
	}
	return wait
}

// deny records a refusal.
func (d decider) deny(l *Labels, reservation string, amount Amount, r *refusal) ([]Event, Result) {
	e := &ReservationDenied{
		At: d.env.Now, Reservation: reservation, Labels: *l, Amount: amount, Code: r.code, Limit: r.limit, Requested: r.requested,
		Available: r.available, Retryable: r.retryable, RetryAfter: r.retryAfter, Config: d.state.Config.Version,
		Reason: r.reason, HeldBack: r.heldBack, Unit: r.unit,
	}
	return []Event{e}, Result{
		Code: r.code, Message: r.message, Retryable: r.retryable, RetryAfter: r.retryAfter, Reservation: reservation, Provider: l.Provider,
		Account: l.Account, Model: l.Model, Limit: r.limit, Requested: r.requested, Available: r.available, Capacity: r.capacity,
		Version: e.Config, Reason: r.reason, HeldBack: r.heldBack,
	}
}
