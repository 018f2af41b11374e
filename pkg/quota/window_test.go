package quota

import (
	"testing"
	"time"
)

func TestCalendarBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window     Window
		zone       string
		at         string
		start, end string
	}{
		"day in UTC":                          {Window{Period: PeriodDay}, "UTC", "2026-11-25T15:00:00Z", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"},
		"day from 9 am, before it":            {Window{Period: PeriodDay, AnchorMinute: 540}, "UTC", "2026-11-25T08:59:59Z", "2026-11-24T09:00:00Z", "2026-11-25T09:00:00Z"},
		"week from Monday":                    {Window{Period: PeriodWeek}, "UTC", "2026-11-25T15:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"},
		"week from Thursday, before it":       {Window{Period: PeriodWeek, AnchorDay: 3}, "UTC", "2026-11-25T15:00:00Z", "2026-11-19T00:00:00Z", "2026-11-26T00:00:00Z"},
		"month over the year's end":           {Window{Period: PeriodMonth}, "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"month from the 15th, before it":      {Window{Period: PeriodMonth, AnchorDay: 14}, "UTC", "2027-01-03T00:00:00Z", "2026-12-15T00:00:00Z", "2027-01-15T00:00:00Z"},
		"a day of 23 hours":                   {Window{Period: PeriodDay}, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		"a day of 25 hours":                   {Window{Period: PeriodDay}, "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		"a midnight that does not exist":      {Window{Period: PeriodDay}, "America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		"a midnight that comes twice":         {Window{Period: PeriodDay}, "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		"an anchor that the clocks skip":      {Window{Period: PeriodDay, AnchorMinute: 150}, "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		"the first instant of a window is in": {Window{Period: PeriodDay}, "Asia/Kolkata", "2026-11-24T18:30:00Z", "2026-11-24T18:30:00Z", "2026-11-25T18:30:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.at)
			if err != nil {
				t.Fatal(err)
			}
			start, end := calendarBounds(c.window, location(c.zone), InstantOf(at))
			if got := start.Time().Format(time.RFC3339); got != c.start {
				t.Errorf("start %s, want %s", got, c.start)
			}
			if got := end.Time().Format(time.RFC3339); got != c.end {
				t.Errorf("end %s, want %s", got, c.end)
			}
		})
	}
}

// Every instant lies in exactly one window: bounds contain it, and the next window starts where this one ends.
func TestCalendarWindowsTile(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "America/Sao_Paulo", "America/Havana", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"} {
		loc := location(zone)
		for _, period := range []Period{PeriodDay, PeriodWeek, PeriodMonth} {
			for _, minute := range []int{0, 30, 150, 1439} {
				w := Window{Period: period, AnchorMinute: minute}
				at := InstantOf(time.Date(2011, 1, 1, 0, 0, 0, 0, time.UTC))
				_, at = calendarBounds(w, loc, at)
				for range 800 {
					start, end := calendarBounds(w, loc, at)
					if start != at || end <= start {
						t.Fatalf("%s %s+%d: window at %s is [%s, %s)", zone, period, minute, at.Time(), start.Time(), end.Time())
					}
					if s, e := calendarBounds(w, loc, end-1); s != start || e != end {
						t.Fatalf("%s %s+%d: the last instant of [%s, %s) is in [%s, %s)", zone, period, minute, start.Time(), end.Time(), s.Time(), e.Time())
					}
					at = end
				}
			}
		}
	}
}
