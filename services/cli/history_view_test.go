package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// A year of little use is as long as the use is, and says of which years its days are.
func TestQuietDaysAreOneLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &historyCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}}
	first := time.Date(2024, time.December, 30, 0, 0, 0, 0, time.UTC)
	h := &wire.HistoryReply{Interval: wire.IntervalDay, Zone: "UTC", Points: make([]wire.Point, 370)}
	for i := range h.Points {
		h.Points[i].From = wire.TimeOf(quota.InstantOf(first.AddDate(0, 0, i)))
	}
	h.Points[1].TotalTokens, h.Points[4].Granted, h.Points[200].Denied, h.Points[205].TotalTokens = 40, 1, 1, 80
	c.showChart(h)
	var days []string
	for line := range strings.Lines(out.String()) {
		if text, _, _ := strings.Cut(line, "  "); strings.TrimSpace(text) != "" {
			days = append(days, strings.TrimSpace(text))
		}
	}
	want := "DAY, Tue Dec 31 2024, Wed Jan 1 2025, Thu Jan 2 2025, Fri Jan 3 2025, … 195 without, Fri Jul 18 2025, … 4 without, Wed Jul 23 2025"
	if got := strings.Join(days, ", "); got != want {
		t.Errorf("days %s\nwant %s\n%s", got, want, out.String())
	}
}

// The widest chart fits: days of another year, large figures, and waits in vain.
func TestTheWidestChartFits(t *testing.T) {
	t.Parallel()
	for _, inVain := range []int64{0, 1_234_567} {
		var out strings.Builder
		c := &historyCommand{app: &app{screen: screen.New(&out, narrow)}}
		h := &wire.HistoryReply{Interval: wire.IntervalDay, Zone: "UTC", Points: make([]wire.Point, 2)}
		for i := range h.Points {
			p := &h.Points[i]
			p.From = wire.TimeOf(quota.InstantOf(time.Date(2024, time.December, 30+i, 0, 0, 0, 0, time.UTC)))
			p.TotalTokens, p.CostMicroUSD, p.Granted, p.Denied, p.QueueEnded = 999_999_999_999, 12_345_670_000, 123_456, 12_345, inVain
		}
		c.showChart(h)
		fits(t, out.String())
	}
}

// TestTotalsOfNothing: where grants were all there was, no classes of tokens are announced.
func TestTotalsOfNothing(t *testing.T) {
	t.Parallel()
	for want, tokens := range map[string]wire.Tokens{"  tokens      0\n": {}, "  tokens      5: 5 out\n": {Output: 5}} {
		var out strings.Builder
		c := &historyCommand{app: &app{screen: screen.New(&out, narrow)}}
		sum := &wire.SummaryReply{}
		sum.Totals.Tokens, sum.Totals.TotalTokens = tokens, totalTokens(tokens)
		c.showTotals(sum)
		if !strings.Contains(out.String(), want) {
			t.Errorf("shown:\n%s", out.String())
		}
	}
}

// TestHistoryBounds: a day is its first moment in the zone in which days are counted, and a start alone is up to now.
func TestHistoryBounds(t *testing.T) {
	t.Parallel()
	utc := func(hour, minute int) wire.Time {
		return wire.TimeOf(quota.InstantOf(time.Date(2026, time.March, 1, hour, minute, 0, 0, time.UTC)))
	}
	for name, c := range map[string]struct {
		from, to, zone string
		wantFrom       wire.Time
		wantTo         wire.Time
		fault          string
	}{
		"a day alone":                   {from: "2026-03-01", zone: "UTC", wantFrom: utc(0, 0)},
		"a time alone":                  {from: "2026-03-01T08:30:00Z", zone: "Europe/Berlin", wantFrom: utc(8, 30)},
		"days elsewhere":                {from: "2026-03-01", to: "2026-03-02", zone: "Europe/Berlin", wantFrom: utc(-1, 0), wantTo: utc(23, 0)},
		"a day that begins with a leap": {from: "2026-03-29", zone: "Asia/Beirut", wantFrom: utc(28*24-2, 0)},
		"an end without a start":        {to: "2026-03-02", zone: "UTC", fault: "--to 2026-03-02 needs --from: write when the time begins, such as --from 2026-03-01"},
		"no day":                        {from: "2026-02-30", zone: "UTC", fault: `--from "2026-02-30" is neither a day such as 2026-03-01 nor an RFC 3339 time such as 2026-03-01T00:00:00Z`},
		"no end":                        {from: "2026-03-01", to: "now", zone: "UTC", fault: `--to "now" is neither a day such as 2026-03-01 nor an RFC 3339 time such as 2026-03-01T00:00:00Z`},
	} {
		h := &historyCommand{app: &app{}, from: c.from, to: c.to, peaks: wire.DefaultPeaks, scope: wire.Scope{Zone: c.zone}}
		switch err := h.readScope(nil); {
		case err != nil && err.Error() != c.fault, err == nil && c.fault != "":
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		case err == nil && (h.scope.From != c.wantFrom || h.scope.To != c.wantTo):
			t.Errorf("%s: from %v to %v, want %v to %v", name, h.scope.From.Time(), h.scope.To.Time(), c.wantFrom.Time(), c.wantTo.Time())
		}
	}
}

// What an import proposes to look at has the earliest call in it.
func TestSpanSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 26, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		days int
		want string
	}{{0, "30d"}, {29, "30d"}, {30, "5w"}, {34, "5w"}, {35, "6w"}, {365, "53w"}} {
		if got := spanSince(now.AddDate(0, 0, -tc.days), now); got != tc.want {
			t.Errorf("%d days ago: %s, want %s", tc.days, got, tc.want)
		}
	}
}

// By the hour, who waited in vain is not among the denied, as in the totals above; where nobody did there is no such column.
func TestHistoryTellsWaitsInVain(t *testing.T) {
	t.Parallel()
	hour := time.Hour.Milliseconds()
	for name, c := range map[string]struct {
		inVain [3]int64
		want   []string
	}{
		"somebody": {[3]int64{0, 188, 7}, []string{"HOUR", "TOKENS", "COST", "GRANTED", "DENIED", "IN VAIN", "1 46 0", "2 46 188", "3 46 7"}},
		"nobody":   {[3]int64{}, []string{"HOUR", "TOKENS", "COST", "GRANTED", "DENIED", "1 46", "2 46", "3 46"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			h := &historyCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}}
			reply := &wire.HistoryReply{Zone: "UTC", Interval: wire.IntervalHour}
			for i, n := range c.inVain {
				reply.Points = append(reply.Points, wire.Point{From: wire.Time(int64(i) * hour), To: wire.Time(int64(i+1) * hour), Granted: int64(i + 1), Denied: 46, QueueEnded: n})
			}
			h.showChart(reply)
			text := strings.Join(strings.Fields(out.String()), " ")
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("does not say %q:\n%s", want, out.String())
				}
			}
			if strings.Contains(text, "IN VAIN") != (name == "somebody") {
				t.Errorf("tells of waits in vain wrongly:\n%s", out.String())
			}
		})
	}
}

// Hours in which nothing happened but waits in vain are told of.
func TestHistoryKeepsHoursOfWaitsInVain(t *testing.T) {
	t.Parallel()
	points := trimmed([]wire.Point{{}, {QueueEnded: 1}, {Granted: 1}, {QueueEnded: 2}, {}})
	if len(points) != 3 || points[0].QueueEnded != 1 || points[2].QueueEnded != 2 {
		t.Errorf("%+v, want the three in the middle", points)
	}
}

// Where clocks go back, an hour that they show twice says which one it is.
func TestTheHourThatComesTwice(t *testing.T) {
	t.Parallel()
	zone := zoneOf("America/New_York")
	var got []string
	for hour := 4; hour < 8; hour++ {
		from := time.Date(time.Now().Year(), time.November, 1, hour, 0, 0, 0, time.UTC)
		for from.Weekday() != time.Sunday { // the first one of November
			from = from.AddDate(0, 0, 1)
		}
		p := &wire.Peak{From: wireTime(from), To: wireTime(from.Add(time.Hour))}
		_, hours, _ := strings.Cut(hourText(p, zone), from.Format("Jan 2 "))
		_, start, _ := strings.Cut(intervalText(p.From, wire.IntervalHour, zone), from.Format("Jan 2 "))
		got = append(got, start+": "+hours)
	}
	want := "00:00: 00:00 – 01:00 EDT, 01:00 EDT: 01:00 EDT – 01:00 EST, 01:00 EST: 01:00 EST – 02:00, 02:00: 02:00 – 03:00"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("hours %s\nwant  %s", text, want)
	}
}
