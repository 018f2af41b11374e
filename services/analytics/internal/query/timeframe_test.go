package query

import (
	"errors"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestPeriodOf(t *testing.T) {
	t.Parallel()
	const (
		wednesday = "2026-03-04T15:30:00Z"
		// The clocks of Berlin went forward at 01:00Z on that Sunday.
		afterSpring = "2026-03-29T10:00:00Z"
		// The clocks of Cairo went forward at midnight of Friday, 2026-04-24.
		cairo = "2026-04-24T10:00:00Z"
		// Those of Amman went back to midnight at one o'clock of Friday, 2020-10-30.
		amman = "2020-10-30T10:00:00Z"
	)
	for name, c := range map[string]struct {
		scope    wire.Scope
		now      string
		from, to string
	}{
		"default":                 {wire.Scope{}, wednesday, "2026-03-03T15:30:00Z", wednesday},
		"minutes":                 {wire.Scope{Timeframe: "90m"}, wednesday, "2026-03-04T14:00:00Z", wednesday},
		"days":                    {wire.Scope{Timeframe: "7d"}, wednesday, "2026-02-25T15:30:00Z", wednesday},
		"weeks":                   {wire.Scope{Timeframe: "4w"}, wednesday, "2026-02-04T15:30:00Z", wednesday},
		"today":                   {wire.Scope{Timeframe: "today"}, wednesday, "2026-03-04T00:00:00Z", wednesday},
		"today elsewhere":         {wire.Scope{Timeframe: "today", Zone: "Asia/Tokyo"}, wednesday, "2026-03-04T15:00:00Z", wednesday},
		"yesterday":               {wire.Scope{Timeframe: "yesterday"}, wednesday, "2026-03-03T00:00:00Z", "2026-03-04T00:00:00Z"},
		"yesterday has 23 hours":  {wire.Scope{Timeframe: "yesterday", Zone: "Europe/Berlin"}, "2026-03-30T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"today after the jump":    {wire.Scope{Timeframe: "today", Zone: "Europe/Berlin"}, afterSpring, "2026-03-28T23:00:00Z", afterSpring},
		"no midnight":             {wire.Scope{Timeframe: "today", Zone: "Africa/Cairo"}, cairo, "2026-04-23T22:00:00Z", cairo},
		"two midnights":           {wire.Scope{Timeframe: "today", Zone: "Asia/Amman"}, amman, "2020-10-29T21:00:00Z", amman},
		"this week":               {wire.Scope{Timeframe: "this-week"}, wednesday, "2026-03-02T00:00:00Z", wednesday},
		"this week, on a Monday":  {wire.Scope{Timeframe: "this-week"}, "2026-03-02T00:00:01Z", "2026-03-02T00:00:00Z", "2026-03-02T00:00:01Z"},
		"this week, on a Sunday":  {wire.Scope{Timeframe: "this-week"}, "2026-03-08T09:00:00Z", "2026-03-02T00:00:00Z", "2026-03-08T09:00:00Z"},
		"last week":               {wire.Scope{Timeframe: "last-week"}, wednesday, "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"},
		"last week, hours differ": {wire.Scope{Timeframe: "last-week", Zone: "Europe/Berlin"}, "2026-04-01T10:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"},
		"this month":              {wire.Scope{Timeframe: "this-month"}, wednesday, "2026-03-01T00:00:00Z", wednesday},
		"last month":              {wire.Scope{Timeframe: "last-month"}, wednesday, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		"last month, in January":  {wire.Scope{Timeframe: "last-month"}, "2026-01-15T00:00:00Z", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"},
		"from":                    {wire.Scope{From: wire.TimeOf(quota.InstantOf(at(t, "2026-03-01T00:00:00Z")))}, wednesday, "2026-03-01T00:00:00Z", wednesday},
		"from and to": {wire.Scope{From: wire.TimeOf(quota.InstantOf(at(t, "2026-03-01T00:00:00Z"))), To: wire.TimeOf(quota.InstantOf(at(t, "2026-03-02T00:00:00Z")))},
			wednesday, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"},
	} {
		p, err := PeriodOf(c.scope, at(t, c.now))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !p.From.Equal(at(t, c.from)) || !p.To.Equal(at(t, c.to)) {
			t.Errorf("%s: %s to %s, want %s to %s", name, p.From.UTC().Format(time.RFC3339), p.To.UTC().Format(time.RFC3339), c.from, c.to)
		}
	}
}

func TestPeriodOfRefusesNonsense(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-03-04T15:30:00Z")
	instant := wire.TimeOf(quota.InstantOf(now))
	for name, scope := range map[string]wire.Scope{
		"unknown":       {Timeframe: "next-week"},
		"no unit":       {Timeframe: "24"},
		"no number":     {Timeframe: "h"},
		"zero":          {Timeframe: "0d"},
		"negative":      {Timeframe: "-1d"},
		"fraction":      {Timeframe: "1.5h"},
		"too long":      {Timeframe: "3661d"},
		"overflow":      {Timeframe: "99999999999999999999h"},
		"zone":          {Zone: "Mars/Olympus"},
		"local zone":    {Zone: "Local"},
		"both":          {Timeframe: "24h", From: instant - 1},
		"to alone":      {To: instant},
		"empty":         {From: instant, To: instant},
		"backwards":     {From: instant, To: instant - 5},
		"in the future": {From: instant + 5},
		"eons":          {From: 1, To: instant},
	} {
		if p, err := PeriodOf(scope, now); !errors.Is(err, wire.ErrInvalid) {
			t.Errorf("%s: %s, %v, want it refused", name, p, err)
		}
	}
}

func TestIntervals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone, from, to, interval string
		want                     []string
	}{
		"hours, cut at both ends": {"UTC", "2026-03-04T10:20:00Z", "2026-03-04T12:10:00Z", wire.IntervalHour,
			[]string{"2026-03-04T10:20:00Z", "2026-03-04T11:00:00Z", "2026-03-04T12:00:00Z", "2026-03-04T12:10:00Z"}},
		"hours of a half-hour zone": {"Asia/Kolkata", "2026-03-04T10:00:00Z", "2026-03-04T12:00:00Z", wire.IntervalHour,
			[]string{"2026-03-04T10:00:00Z", "2026-03-04T10:30:00Z", "2026-03-04T11:30:00Z", "2026-03-04T12:00:00Z"}},
		"within one hour": {"UTC", "2026-03-04T10:20:00Z", "2026-03-04T10:30:00Z", wire.IntervalHour,
			[]string{"2026-03-04T10:20:00Z", "2026-03-04T10:30:00Z"}},
		"days of 24, 23 and 24 hours": {"Europe/Berlin", "2026-03-27T23:00:00Z", "2026-03-30T22:00:00Z", wire.IntervalDay,
			[]string{"2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"}},
		"a day without midnight": {"Africa/Cairo", "2026-04-22T22:00:00Z", "2026-04-24T21:00:00Z", wire.IntervalDay,
			[]string{"2026-04-22T22:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"}},
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		p := Period{From: at(t, c.from).In(zone), To: at(t, c.to).In(zone), Zone: zone}
		bounds, err := p.intervals(c.interval)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := make([]string, len(bounds))
		for i, bound := range bounds {
			got[i] = bound.UTC().Format(time.RFC3339)
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %v, want %v", name, got, c.want)
				break
			}
		}
	}
	long := Period{From: at(t, "2020-01-01T00:00:00Z"), To: at(t, "2026-01-01T00:00:00Z"), Zone: time.UTC}
	if _, err := long.intervals(wire.IntervalHour); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("six years of hours: %v, want it refused", err)
	}
}
