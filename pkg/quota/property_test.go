package quota

import (
	"fmt"
	"maps"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Random commands, sensible and not, keep every invariant; the events alone give the same state; a snapshot restores it.
func TestAnyCommandsKeepTheBooks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l := &ledger{t: failer{t, rt}, state: NewState(), now: t0}
		replay := NewState()
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			l.now = l.now.Add(Millis(rapid.SampledFrom([]int64{0, 1, 1000, 61_000, 3_600_000, 20_000_000}).Draw(rt, "wait")))
			cmd := drawCommand(rt, l)
			admittedBefore := overAdmitted(l)
			events, result := l.do(cmd)
			if result.OK() && !spends(cmd) {
				if over := overAdmitted(l); over > admittedBefore {
					rt.Fatalf("%T over-admitted by %d: %+v", cmd, over-admittedBefore, result)
				}
			}
			for _, e := range append(events, l.tick(Env{Now: l.now, Prices: testPrices})...) {
				Apply(replay, e)
			}
			if w := couldBeGranted(l, l.now); w != nil {
				rt.Fatalf("after %T and all ticks this waits and could be granted: %+v", cmd, w)
			}
			if due := l.state.NextDue(); due > l.now {
				if w := couldBeGranted(l, due-1); w != nil {
					rt.Fatalf("after %T nothing is due before %d, and this waits and could be granted before: %+v", cmd, due, w)
				}
			}
		}
		want := l.state.Snapshot()
		if got := replay.Snapshot(); !equal(got, want) {
			rt.Fatalf("the events fold to\n%+v\nnot to\n%+v", got, want)
		}
		restored, err := Restore(want)
		if err != nil {
			rt.Fatal(err)
		}
		if got := restored.Snapshot(); !equal(got, want) || restored.NextDue() != l.state.NextDue() {
			rt.Fatalf("the snapshot restores to\n%+v\nnot to\n%+v", got, want)
		}
		had := remembered(l.state)
		for what, got := range remembered(restored) {
			if !reflect.DeepEqual(got, had[what]) {
				rt.Fatalf("the snapshot restores %s\n%+v\nnot\n%+v", what, got, had[what])
			}
		}
	})
}

// remembered is what a state has besides what [State.Check] adds up, not by way of a snapshot: of what a snapshot leaves
// out, two snapshots do not differ.
func remembered(s *State) map[string]any {
	return map[string]any{
		"blocks": s.blocks, "notices": s.notices, "calls": s.calls, "their order": s.callOrder.all(), "closed": s.closedOrder.all(),
		"queue": s.queue.inOrder(), "sticky": s.sticky, "sticky in order": s.stickyOrder.all(), "uses": s.uses, "pacers": s.pacers,
		"watches": s.watches, "learners": s.learners, "by agent": s.liveByAgent, "by team": s.liveByTeam, "held by team": tokensOf(s.heldByTeam),
	}
}

// tokensOf leaves out the teams that hold none: whether one with reservations of no tokens is listed depends on what was before.
func tokensOf(held map[string]int64) map[string]int64 {
	held = maps.Clone(held)
	maps.DeleteFunc(held, func(_ string, tokens int64) bool { return tokens == 0 })
	return held
}

// equal compares what snapshots hold; where a reservation stands in its heap is not part of it.
func equal(a, b *Snapshot) bool {
	for _, s := range []*Snapshot{a, b} {
		for i := range s.Reservations {
			s.Reservations[i].heapIndex = 0
		}
		for i := range s.Closed {
			s.Closed[i].heapIndex = 0
		}
	}
	return reflect.DeepEqual(a, b)
}

// couldBeGranted finds an entry of the queue that the ladder grants at a time before which nothing is due: a wake-up was missed.
// The entries of a test are fewer than are looked at.
func couldBeGranted(l *ledger, at Instant) *Waiting {
	d := decider{l.state, Env{Now: at, Prices: testPrices}}
	for _, w := range l.state.queue.inOrder() {
		if up, r := d.climbAgain(w); r == nil && up.run(l.state.Config.Policy.beforeQueue()) != nil {
			return w
		}
	}
	return nil
}

// overAdmitted is by how much holds and spending exceed the limits' capacities.
func overAdmitted(l *ledger) (over int64) {
	for _, v := range l.state.Limits(l.now) {
		if v.Limit.Window.Kind != WindowBucket {
			over += v.Over
		}
	}
	return over
}

// spends tells whether a command may rightly push a limit over: what has happened is recorded, and limits can shrink.
func spends(cmd Command) bool {
	switch cmd.(type) {
	case Report, Settle, Observe, ObserveAll, ApplyConfig:
		return true
	}
	return false
}

type failer struct {
	testing.TB
	rt *rapid.T
}

func (f failer) Fatalf(format string, args ...any) { f.rt.Fatalf(format, args...) }

func drawCommand(t *rapid.T, l *ledger) Command {
	actor := rapid.SampledFrom([]Actor{{"ann", "a1"}, {"ann", "a2"}, {"bob", "b1"}, {"", ""}}).Draw(t, "actor")
	id := fmt.Sprintf("r%d", rapid.IntRange(1, max(1, l.next)).Draw(t, "reservation"))
	model := rapid.SampledFrom([]string{"opus-4", "sonnet", "unpriced", ""}).Draw(t, "model")
	account := rapid.SampledFrom([]string{"", "max-1", "api-1", "nowhere"}).Draw(t, "account")
	switch rapid.IntRange(0, 11).Draw(t, "command") {
	case 0, 1, 2:
		l.next++
		return Reserve{
			Actor: actor, Reservation: fmt.Sprintf("r%d", l.next), Model: model, Account: account,
			Provider: rapid.SampledFrom([]string{"claude", "openai", "acme"}).Draw(t, "provider"),
			Amount:   drawAmount(t), Lifetime: drawMillis(t), Lease: drawMillis(t), Priority: Priority(rapid.IntRange(0, 5).Draw(t, "priority")),
			MinTokens: rapid.SampledFrom([]int64{0, 0, 1, 100}).Draw(t, "min"), MaxWait: rapid.SampledFrom([]Millis{0, Minute, Day, MaxQueueWait}).Draw(t, "maxWait"),
			AcceptAccounts: drawNames(t, "accounts", "max-1", "api-1", "api-2"), AcceptProviders: drawNames(t, "providers", "openai", "claude", "acme"),
			AcceptModels: drawNames(t, "models", "sonnet", "openai/gpt-5", "unpriced"), Preemptible: rapid.Bool().Draw(t, "preemptible"),
		}
	case 3, 4:
		return Report{Actor: actor, Reservation: id, Account: account, Model: model, Items: drawItems(t, l)}
	case 5:
		return Settle{Actor: actor, Reservation: id, Account: account, Model: model, Items: drawItems(t, l)}
	case 6:
		return Release{Actor: actor, Reservation: id}
	case 7:
		return Extend{Actor: actor, Reservation: id, Amount: drawAmount(t), Lifetime: drawMillis(t)}
	case 8:
		if rapid.Bool().Draw(t, "several") {
			return ObserveAll{Actor: actor, Account: account, Said: []Observe{drawObservation(t, l, account), drawObservation(t, l, account)}}
		}
		return drawObservation(t, l, account)
	case 9:
		return rapid.SampledFrom([]Command{
			Revoke{Reservation: id, Reason: "enough"}, Block{Target: BlockAccount, Name: "max-1"}, Unblock{Target: BlockAccount, Name: "max-1"},
			Block{Target: BlockTeam, Name: "core"}, Unblock{Target: BlockTeam, Name: "core"},
		}).Draw(t, "admin")
	case 10:
		return Acknowledge{Actor: actor, Notices: []uint64{1, 2, 3}}
	default:
		return ApplyConfig{Config: drawConfig(t)}
	}
}

func drawNames(t *rapid.T, what string, names ...string) []string {
	if rapid.IntRange(0, 2).Draw(t, what) > 0 {
		return nil
	}
	return rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, what+" named")
}

func drawMillis(t *rapid.T) Millis {
	return Millis(rapid.SampledFrom([]int64{0, 1, 60_000, 3_600_000, -5, 1 << 50}).Draw(t, "ms"))
}

func drawAmount(t *rapid.T) Amount {
	n := rapid.SampledFrom([]int64{0, 1, 7, 100, 450, 2000, MaxTokensPerClass, -1})
	return Amount{Tokens{Input: n.Draw(t, "input"), CacheRead: n.Draw(t, "cache"), Output: n.Draw(t, "output")}, rapid.SampledFrom([]int64{0, 1, 3}).Draw(t, "requests")}
}

func drawItems(t *rapid.T, l *ledger) []UsageItem {
	items := make([]UsageItem, rapid.IntRange(0, 3).Draw(t, "items"))
	for i := range items {
		amount := drawAmount(t)
		items[i] = UsageItem{
			OccurredAt: l.now.Add(-drawMillis(t)), CallID: rapid.SampledFrom([]string{"", "c1", "c2"}).Draw(t, "call"),
			Model: rapid.SampledFrom([]string{"", "opus-4", "unpriced"}).Draw(t, "itemModel"), Tokens: amount.Tokens, Requests: amount.Requests,
			Batch: rapid.Bool().Draw(t, "batch"),
		}
	}
	return items
}

func drawObservation(t *rapid.T, l *ledger, account string) Observe {
	o := Observe{Account: account, Window: rapid.SampledFrom([]string{"session", "weekly", "b", "x"}).Draw(t, "window"), At: l.now.Add(-drawMillis(t))}
	if rapid.Bool().Draw(t, "percent") {
		p := rapid.SampledFrom([]int64{0, 500, 40_000, 100_000, 120_000, -1}).Draw(t, "percentMilli")
		o.PercentMilli = &p
	}
	if rapid.Bool().Draw(t, "reset") {
		o.ResetAt = l.now.Add(drawMillis(t))
	}
	if rapid.Bool().Draw(t, "tier") {
		o.Tier = "max"
	}
	if rapid.IntRange(0, 3).Draw(t, "capacity") == 0 {
		n := rapid.SampledFrom([]int64{0, 1, 5, 1_000_000}).Draw(t, "told")
		o.Capacity = &n
	}
	o.Signal = rapid.SampledFrom([]Signal{"", "", "", SignalExhausted, SignalOverloaded}).Draw(t, "signal")
	if o.Signal != "" {
		o.RetryAfter = max(0, min(MaxClosed, drawMillis(t)))
		o.Window = rapid.SampledFrom([]string{o.Window, ""}).Draw(t, "refused")
	}
	return o
}

func drawConfig(t *rapid.T) Config {
	all := []Limit{
		session("s", rapid.SampledFrom([]int64{0, 500, 1000}).Draw(t, "capacity")),
		{ID: "w", Name: "weekly", Scope: Scope{Account: "max-1", ModelGroup: "opus"}, Unit: UnitTokens, Capacity: 3000, Window: Window{Kind: WindowSession, Duration: 7 * Day}, Weights: Weights{Input: 500, Output: 1500}},
		{ID: "d", Scope: Scope{Team: "core"}, Unit: UnitRequests, Capacity: 20, Window: Window{Kind: WindowCalendar, Period: PeriodDay, Zone: "Europe/Berlin"}},
		{ID: "m", Unit: UnitMicroUSD, Capacity: 50_000, Window: Window{Kind: WindowCalendar, Period: PeriodMonth}},
		{ID: "b", Name: "b", Scope: Scope{Account: "api-1"}, Unit: UnitInputTokens, Capacity: 600, Window: Window{Kind: WindowBucket, Duration: Minute}},
		{ID: "c", Scope: Scope{Agent: "a1"}, Unit: UnitRequests, Capacity: 2, Window: Window{Kind: WindowConcurrent}},
	}
	if until := rapid.SampledFrom([]int64{-1, 0, 20, 80}).Draw(t, "held until"); until >= 0 {
		all[0].HoldBack = &HoldBack{Percent: rapid.SampledFrom([]int64{30, 90}).Draw(t, "held back"), Priority: PriorityHigh, Until: until}
	}
	var limits []Limit
	for i, l := range all {
		if rapid.Bool().Draw(t, fmt.Sprint("limit", i)) {
			limits = append(limits, l)
		}
	}
	c := testConfig(limits...)
	c.Policy.Ladder = rapid.SampledFrom([][]Rung{nil, nil, {RungFull, RungQueue}, {RungFull, RungAccount, RungQueue, RungSmaller, RungModel}, {RungSmaller, RungModel}}).Draw(t, "ladder")
	c.Teams = drawTeams(t)
	c.Policy.ClosedKept = rapid.SampledFrom([]int{1, 3, 10_000}).Draw(t, "closedKept")
	return c
}

func drawTeams(t *rapid.T) []Team {
	bound := rapid.SampledFrom([]int64{0, 0, 0, 1, 2})
	share := func(team string) Share {
		return Share{
			Limit: rapid.SampledFrom([]string{"s", "w", "m"}).Draw(t, team+" limit"), Floor: rapid.SampledFrom([]int64{0, 100, 400}).Draw(t, team+" floor"),
			FloorPart: rapid.SampledFrom([]int64{0, 30_000}).Draw(t, team+" part"), From: Priority(rapid.IntRange(0, 4).Draw(t, team+" from")),
			LendPart: rapid.SampledFrom([]int64{0, 50_000, wholePart}).Draw(t, team+" lend"), Most: rapid.SampledFrom([]int64{0, 0, 600}).Draw(t, team+" most"),
		}
	}
	var teams []Team
	for _, name := range []string{"core", "guests"} {
		if rapid.Bool().Draw(t, name) {
			teams = append(teams, Team{Name: name, Weight: rapid.Int64Range(0, 3).Draw(t, name+" weight"), Shares: []Share{share(name)}, FanOut: FanOut{
				Live: bound.Draw(t, name+" live"), LivePerAgent: bound.Draw(t, name+" perAgent"), PerMinute: bound.Draw(t, name+" rate"),
				PerAgentPerMinute: bound.Draw(t, name+" agentRate"),
			}})
		}
	}
	return teams
}
