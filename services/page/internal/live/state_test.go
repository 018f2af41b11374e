package live

import (
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

const hour = wire.Time(time.Hour / time.Millisecond)

func percent(p wire.Percent) *wire.Percent { return &p }

func TestLevels(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		limit wire.Limit
		want  string
	}{
		{"half", wire.Limit{Window: "session", Capacity: 1000, Available: 500}, ""},
		{"nearly used up", wire.Limit{Window: "session", Capacity: 1000, Available: 100}, LevelLow},
		{"used up", wire.Limit{Window: "calendar", Capacity: 1000}, LevelExhausted},
		{"a limit per minute refills", wire.Limit{Window: "bucket", Capacity: 1000}, ""},
		{"every place is taken", wire.Limit{Window: "concurrent", Capacity: 2}, LevelExhausted},
		{"one place is left", wire.Limit{Window: "concurrent", Capacity: 20, Available: 1}, ""},
		{"percentages alone", wire.Limit{Window: "session", UsedPercent: percent(95_000)}, LevelLow},
		{"nothing is known", wire.Limit{Window: "session"}, ""},
		{"the provider refuses", wire.Limit{Window: "session", Capacity: 1000, Available: 500, ClosedUntil: 11 * hour}, LevelClosed},
		{"the provider refused", wire.Limit{Window: "session", Capacity: 1000, Available: 500, ClosedUntil: 9 * hour}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := levelOf(&tt.limit, 10*hour); got != tt.want {
				t.Errorf("level %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	window := func(spent, capacity int64) wire.Limit {
		return wire.Limit{Window: "session", StartsAt: hour, ResetsAt: 6 * hour, Capacity: capacity, Used: spent, Available: max(0, capacity-spent)}
	}
	outside := window(100, 1000)
	outside.Outside, outside.Available = 100, 800
	tests := []struct {
		name  string
		limit wire.Limit
		now   wire.Time
		want  *Pace
	}{
		{"within", window(100, 1000), 2 * hour, &Pace{ElapsedPercent: 20_000, AtReset: 500, AtResetPercent: 50_000}},
		{"outside counts", outside, 2 * hour, &Pace{ElapsedPercent: 20_000, AtReset: 1000, AtResetPercent: 100_000}},
		{"beyond", window(500, 1000), 2 * hour, &Pace{ElapsedPercent: 20_000, AtReset: 2500, AtResetPercent: 250_000, ExhaustedAt: 3 * hour}},
		{"used up already", window(1000, 1000), 2 * hour, &Pace{ElapsedPercent: 20_000, AtReset: 5000, AtResetPercent: 500_000}},
		{"too early", window(500, 1000), hour + hour/10, nil},
		{"nothing spent", window(0, 1000), 2 * hour, nil},
		{"over", window(500, 1000), 6 * hour, nil},
		{"no capacity", window(500, 0), 2 * hour, nil},
		{"not open", wire.Limit{Window: "session", Capacity: 10, Used: 1}, 2 * hour, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := paceOf(&tt.limit, tt.now)
			if (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
				t.Errorf("pace %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOutlooksNameOnlyLimitsWithSomethingToSay(t *testing.T) {
	t.Parallel()
	reply := &wire.AccountsReply{
		Now:      10 * hour,
		Accounts: []wire.Account{{Limits: []wire.Limit{{LimitID: "a/s", Window: "session", Capacity: 10}, {LimitID: "a/w", Window: "session", Capacity: 10, Available: 10}}}},
		Limits:   []wire.Limit{{LimitID: "t/d", Window: "calendar", Capacity: 10}},
	}
	got := outlooks(reply)
	if len(got) != 2 || got["a/s"].Level != LevelExhausted || got["t/d"].Level != LevelExhausted {
		t.Errorf("outlooks %+v, want those of a/s and t/d", got)
	}
}
