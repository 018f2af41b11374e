package wire

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

const testAt = quota.Instant(1_772_357_400_000) // 2026-03-01T09:30:00Z

// configOfEvents has one of everything.
func configOfEvents() *quota.Config {
	rate := quota.Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}
	return &quota.Config{
		Version: 3, Policy: quota.DefaultPolicy(),
		Providers: []quota.Provider{{Name: "claude", ModelGroups: []quota.ModelGroup{{Name: "opus", Models: []string{"claude-opus-*"}}}, Tiers: []quota.Tier{{Name: "max", Capacities: map[string]int64{"session": 100}}}}},
		Accounts:  []quota.Account{{ID: "max-1", Provider: "claude", Kind: quota.KindSubscription, Tier: "max", Teams: []string{"core"}}},
		Limits: []quota.Limit{
			{ID: "max-1/session", Name: "session", Scope: quota.Scope{Account: "max-1"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowSession, Duration: 5 * quota.Hour}, Weights: quota.DefaultWeights(quota.UnitTokens), Thresholds: []int64{80}},
		},
		Teams: []quota.Team{{Name: "core", Weight: 2, FanOut: quota.FanOut{Live: 50, LivePerAgent: 5, PerMinute: 120, PerAgentPerMinute: 20}, Shares: []quota.Share{
			{Limit: "max-1/session", Floor: 1000, FloorPart: 30_000, From: quota.PriorityHigh, LendPart: 50_000, Most: 4000, MostPart: 60_000},
		}}},
		Principals: []quota.Principal{{Name: "ci", Team: "core", Accounts: []string{"max-1"}, MaxPriority: quota.PriorityHigh}},
		Unlisted:   &quota.Principal{Team: "core"},
		Prices:     []quota.PriceOverride{{Model: "x", From: testAt, Rate: rate}},
	}
}

// everyEvent has one event of each kind.
func everyEvent() []quota.Event {
	by := quota.Actor{Principal: "ci", Agent: "worker"}
	labels := quota.Labels{Principal: "ci", Agent: "worker", Team: "core", Provider: "claude", Account: "max-1", Model: "claude-sonnet-4-5", TaskType: "code_review", Complexity: "medium", Priority: quota.PriorityNormal, Files: 12, Estimated: 12_000}
	amount := quota.Amount{Tokens: quota.Tokens{Input: 6000, Output: 2000}, Requests: 1}
	rate := quota.Rate{Input: 3_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000, Output: 15_000_000}
	held := []quota.LimitAmount{{Limit: "max-1/session", Amount: 8000}}
	span := quota.WindowSpan{Limit: "max-1/session", Start: testAt, End: testAt.Add(5 * quota.Hour)}
	next := quota.WindowSpan{Limit: "max-1/session"}
	steps := []quota.Step{{Rung: quota.RungFull, Account: "max-1", Code: quota.CodeInsufficientQuota, Limit: "max-1/session", Requested: 8000, Available: 10}, {Rung: quota.RungSmaller, Skipped: "no min_tokens"}, {Rung: quota.RungModel, Account: "api-1", Model: "gpt-5", Taken: true}}
	return []quota.Event{
		&quota.EpochClaimed{Epoch: 2, Writer: "host-1"},
		&quota.ConfigApplied{At: testAt, Actor: quota.Actor{Principal: "root"}, Config: *configOfEvents(), Opened: []quota.WindowSpan{span}},
		&quota.ReservationGranted{At: testAt, Reservation: "r-1", Labels: labels, Amount: amount, Holds: held, Rate: rate, CostHeld: 48_000, Expires: testAt.Add(quota.Minute), Deadline: testAt.Add(quota.Hour), Lease: quota.Minute, Config: 3, QueuedAt: testAt, Unclaimed: true, Preemptible: true, Steps: steps},
		&quota.ReservationDenied{At: testAt, Labels: labels, Amount: amount, Code: quota.CodeInsufficientQuota, Limit: "max-1/session", Requested: 8000, Available: 10, Retryable: true, RetryAfter: quota.Minute, Config: 3, Steps: steps, Alternatives: []quota.Alternative{{Kind: quota.AlternativeLater, Provider: "claude", Account: "max-1", Model: "m", Tokens: 8000, At: testAt}}},
		&quota.ReservationQueued{At: testAt, Reservation: "r-2", Labels: labels, Wish: quota.Wish{Amount: amount, MinTokens: 10}, Until: testAt.Add(quota.Hour), Bounds: []quota.Bound{{On: "max-1/session", Units: 8000}, {On: "!account max-2"}}, Code: quota.CodeInsufficientQuota, Limit: "max-1/session", Requested: 8000, Available: 10, Position: 2, GrantFrom: testAt, GrantAt: testAt, GrantTo: testAt, Config: 3, Steps: steps},
		&quota.ReservationWaiting{At: testAt, Reservation: "r-2", Bounds: []quota.Bound{{On: "max-1/session", Units: 8000}}, Kept: true},
		&quota.ReservationDequeued{At: testAt, Reservation: "r-2", Labels: labels, Outcome: quota.QueueCancelled, By: by, Reason: "enough", QueuedAt: testAt.Add(-quota.Minute), Wanted: amount, Code: quota.CodeInsufficientQuota, Limit: "max-1/session", Steps: steps},
		&quota.ReservationExtended{At: testAt, Reservation: "r-1", Labels: labels, Amount: amount, Holds: held, CostHeld: 48_000, Expires: testAt.Add(quota.Hour)},
		&quota.ReservationRenewed{At: testAt, Reservation: "r-1", Expires: testAt.Add(quota.Hour)},
		&quota.ReservationExpiring{At: testAt, Reservation: "r-1", Labels: labels, Expires: testAt.Add(quota.Minute)},
		&quota.ReservationPreempting{At: testAt, Reservation: "r-1", Labels: labels, Expires: testAt.Add(quota.Minute), Limit: "max-1/session", For: "research", Units: 500, Amount: amount},
		&quota.ReservationShrunk{At: testAt, Reservation: "r-1", Labels: labels, Amount: amount, Returned: held, CostHeld: 1000, Limit: "max-1/session", For: "research", Granted: amount},
		&quota.ReservationClosed{At: testAt, Reservation: "r-1", Labels: labels, Outcome: quota.OutcomeSettled, By: by, Reason: "done", Returned: held, Granted: amount, Used: amount, CostHeld: 48_000, CostUsed: 47_000, GrantedAt: testAt},
		&quota.UsageRecorded{At: testAt, Reservation: "r-1", Standing: quota.StandingOpen, Labels: labels, OccurredAt: testAt, CallID: "msg_1", Tokens: quota.Tokens{Input: 10, CacheRead: 5}, Requests: 1, Rate: rate, Cost: 31, Batch: true, Charges: []quota.Charge{{Limit: "max-1/session", Window: testAt, Amount: 15, Within: 15}}, GrantedAt: testAt, Overrun: 2},
		&quota.WindowOpened{At: testAt, Span: span},
		&quota.WindowRolled{At: testAt, Ended: span, Used: 500, Next: next},
		&quota.LimitWarning{At: testAt, Limit: "max-1/session", Window: testAt, Threshold: 75, Spent: 80, Capacity: 100, Account: "max-1", Team: "core", Unit: quota.UnitTokens},
		&quota.ObservationRecorded{At: testAt, Actor: by, Account: "max-1", Limit: "max-1/session", Observation: quota.Observation{Used: -1, PercentMilli: 42_500, Capacity: 100, ResetAt: testAt.Add(quota.Hour), Tier: "max", Source: "statusline", At: testAt}, Effective: true, Span: span, Capacity: 100, Lesson: &quota.Lesson{End: true, Estimate: &quota.Estimate{Low: 91, Likely: 100, High: 112, Enough: true, Stretches: 12}}},
		&quota.BlockPlaced{At: testAt, Actor: quota.Actor{Principal: "root"}, Target: quota.BlockTeam, Name: "core", Reason: "freeze"},
		&quota.BlockLifted{At: testAt, Actor: quota.Actor{Principal: "root"}, Target: quota.BlockTeam, Name: "core"},
		&quota.NoticesAcknowledged{At: testAt, Actor: by, Notices: []uint64{1, 2}},
	}
}

func TestEventsSurviveTheTrip(t *testing.T) {
	t.Parallel()
	for i, e := range everyEvent() {
		made, err := NewEvent(Place{Workspace: "a b/c", LedgerID: "led", Commit: 1 << 40, Index: i, At: testAt}, e)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := json.Marshal(publicData(e)); err != nil || !sameJSON(t, plain, made.Data) {
			t.Errorf("%s: the data is\n%s, encoding/json gives\n%s, %v", e.Kind(), made.Data, plain, err)
		}
		body, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		if ours := made.Append(nil); string(ours) != string(body) {
			t.Errorf("Append gives\n%s, encoding/json\n%s", ours, body)
		}
		read, err := DecodeEvent(body)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if read.Kind() != e.Kind() || read.Workspace() != "a b/c" || read.CommitNumber() != 1<<40 || int(read.Index) != i || !strings.HasPrefix(read.ID, "led.1099511627776.") || read.Time.Instant() != testAt {
			t.Errorf("%s is read as %+v", body, read)
		}
	}
	if _, err := NewEvent(Place{}, nil); err == nil {
		t.Error("no event has a public form")
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestEventRoute(t *testing.T) {
	t.Parallel()
	for _, e := range everyEvent() {
		principal, agent := EventRoute(e)
		subject, err := EventSubject("w", principal, agent, e.Kind())
		if err != nil {
			t.Errorf("%s: %v", e.Kind(), err)
		}
		if _, ok := e.(*quota.UsageRecorded); ok && subject != "quota.v1.w.event.ci.worker.usage.recorded" {
			t.Errorf("usage goes to %s", subject)
		}
	}
}

func TestDecodeEventRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"not JSON":      `x`,
		"other version": `{"specversion":"0.3","id":"1","source":"/workspaces/w","type":"t","time":"2026-03-01T09:30:00Z","datacontenttype":"application/json"}`,
		"no id":         `{"specversion":"1.0","source":"/workspaces/w","type":"t","time":"2026-03-01T09:30:00Z","datacontenttype":"application/json"}`,
		"no time":       `{"specversion":"1.0","id":"1","source":"/workspaces/w","type":"t","datacontenttype":"application/json"}`,
		"other content": `{"specversion":"1.0","id":"1","source":"/workspaces/w","type":"t","time":"2026-03-01T09:30:00Z","datacontenttype":"text/xml"}`,
		"too large":     strings.Repeat(" ", MaxEventBytes+1),
	} {
		if e, err := DecodeEvent([]byte(body)); err == nil {
			t.Errorf("%s: read as %+v", name, e)
		}
	}
}

func BenchmarkNewEvent(b *testing.B) {
	events := everyEvent()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		e, err := NewEvent(Place{Workspace: "w", LedgerID: "led", Commit: 7}, events[2])
		if err != nil {
			b.Fatal(err)
		}
		buf = e.Append(buf[:0])
	}
}
