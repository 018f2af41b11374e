package simulate

import (
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// What is told of floors has to be able to tell that one is broken.
func TestFloorsAreLookedAtFromOutside(t *testing.T) {
	t.Parallel()
	c := quota.Config{
		Limits: []quota.Limit{{ID: "s", Capacity: 1000, Unit: quota.UnitTokens}},
		Teams: []quota.Team{
			{Name: "core", Shares: []quota.Share{{Limit: "s", FloorPart: 40_000, LendPart: 50_000}}},
			{Name: "ops", Shares: []quota.Share{{Limit: "s", Floor: 100, From: quota.PriorityHigh}}},
		},
	}
	grant := func(team string, n int64, preemptible bool) *quota.ReservationGranted {
		return &quota.ReservationGranted{
			Reservation: team, Labels: quota.Labels{Team: team, Priority: quota.PriorityNormal}, Preemptible: preemptible, Holds: []quota.LimitAmount{{Limit: "s", Amount: n}},
		}
	}
	for name, tt := range map[string]struct {
		events []quota.Event
		broken int
	}{
		"what nobody owns":           {[]quota.Event{grant("bots", 500, false)}, 0},
		"and more":                   {[]quota.Event{grant("bots", 501, false)}, 1},
		"what is lent":               {[]quota.Event{grant("bots", 700, true)}, 0},
		"and more than that":         {[]quota.Event{grant("bots", 701, true)}, 1},
		"below the floor's priority": {[]quota.Event{grant("ops", 501, false)}, 1},
		"the owner's":                {[]quota.Event{grant("bots", 500, false), grant("core", 400, false)}, 0},
		"the other owner's":          {[]quota.Event{grant("core", 901, false)}, 1},
		"its own, after others' was": {[]quota.Event{grant("bots", 700, true), grant("core", 200, false)}, 0},
		"what came back":             {[]quota.Event{grant("bots", 500, false), &quota.ReservationClosed{Reservation: "bots", Labels: quota.Labels{Team: "bots", Priority: quota.PriorityNormal}, Returned: []quota.LimitAmount{{Limit: "s", Amount: 100}}}, grant("bots", 100, false)}, 0},
		"by an extension":            {[]quota.Event{grant("bots", 500, false), &quota.ReservationExtended{Reservation: "bots", Labels: quota.Labels{Team: "bots"}, Holds: []quota.LimitAmount{{Limit: "s", Amount: 1}}}}, 1},
		"in a new window":            {[]quota.Event{grant("bots", 500, false), &quota.WindowRolled{Next: quota.WindowSpan{Limit: "s", Start: 5}}, grant("bots", 1, false)}, 1},
		"in a new one with nothing held": {[]quota.Event{
			grant("bots", 500, false),
			&quota.UsageRecorded{Labels: quota.Labels{Team: "bots", Priority: quota.PriorityNormal}, Charges: []quota.Charge{{Limit: "s", Amount: 500, Within: 500}}},
			&quota.WindowRolled{Next: quota.WindowSpan{Limit: "s", Start: 5}}, grant("bots", 500, false),
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFloors(&c)
			for _, e := range tt.events {
				f.saw(e)
			}
			if f.broken != tt.broken {
				t.Errorf("%d of %d steps broke a floor, want %d", f.broken, f.steps, tt.broken)
			}
		})
	}
}

// Late is what was there or was given away, and not what others used beyond their reservations.
func TestWhatFloorsPromise(t *testing.T) {
	t.Parallel()
	bots, core := &quota.Labels{Team: "bots", Priority: quota.PriorityLow}, teamWork{"core", quota.PriorityNormal}
	view := &quota.LimitView{Limit: quota.Limit{ID: "s", Unit: quota.UnitTokens}}
	for name, tt := range map[string]struct {
		reserved, used, held int64 // by others
		own                  int64 // used beyond reservations by the owner
		ask                  int64
		want                 promise
	}{
		"a whole floor":                       {600, 600, 0, 0, 398, promisesAll},
		"more than the floor":                 {600, 600, 0, 0, 401, promisesNothing},
		"given away to others":                {700, 700, 0, 0, 398, promisesAll},
		"held by others":                      {0, 0, 700, 0, 398, promisesAll},
		"spent by others beyond reservations": {600, 700, 0, 0, 398, promisesSpent},
		"and given away too":                  {700, 710, 0, 0, 398, promisesAll},
		"what is left of it":                  {600, 700, 0, 0, 298, promisesAll},
		"spent by the owner":                  {600, 600, 0, 100, 398, promisesNothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFloors(&quota.Config{
				Limits: []quota.Limit{{ID: "s", Capacity: 1000, Unit: quota.UnitTokens}},
				Teams:  []quota.Team{{Name: "core", Shares: []quota.Share{{Limit: "s", Floor: 400}}}},
			})
			f.move("s", bots, taken{used: tt.used, held: tt.held, over: tt.used - tt.reserved})
			f.move("s", &quota.Labels{Team: "core", Priority: quota.PriorityNormal}, taken{used: tt.own, over: tt.own})
			if got := f.promise(view, core, quota.Amount{Tokens: quota.Tokens{Output: tt.ask}}); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

// A job that is told to give way goes on after the calls that it has made.
func TestAStepIsSplit(t *testing.T) {
	t.Parallel()
	call := Call{Tokens: quota.Tokens{Output: 10}, Takes: quota.Second}
	j := &Job{Steps: []Step{stepOf([]Call{call, call, call}), stepOf([]Call{call})}, Dies: 1}
	if n, took := j.Steps[0].within(2500); n != 2 || took != 2*quota.Second {
		t.Fatalf("%d calls in %d ms", n, took)
	}
	j.split(0, 2)
	if len(j.Steps) != 3 || j.Steps[0].Amount.Tokens.Output != 20 || j.Steps[1].Takes != quota.Second || j.Dies != 2 {
		t.Errorf("%+v", j)
	}
	if got := call.part(quota.Second / 2); got.Output != 5 {
		t.Errorf("half of a call used %+v", got)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	report := func(change func(*Report)) *Report {
		r := &Report{Utilisation: 0.9, Waits: []Waits{{Priority: "low", WindowsP99: 2}}, PassedMost: 600}
		change(r)
		return r
	}
	base := report(func(*Report) {})
	for name, tt := range map[string]struct {
		change func(*Report)
		faults int
	}{
		"equal":                {func(*Report) {}, 0},
		"within the tolerance": {func(r *Report) { r.Utilisation = 0.8991 }, 0},
		"used less":            {func(r *Report) { r.Utilisation = 0.898 }, 1},
		"a floor broken":       {func(r *Report) { r.Floors.Broken = 1 }, 1},
		"a floor late":         {func(r *Report) { r.Floors.Late = 1 }, 1},
		"passed for long":      {func(r *Report) { r.PassedMost = 601 }, 1},
		"low priority waits":   {func(r *Report) { r.Waits[0].WindowsP99 = 2.01 }, 1},
		"all of it": {func(r *Report) {
			*r = Report{Floors: Floors{Broken: 1, Late: 1}, PassedMost: 601, Waits: []Waits{{Priority: "low", WindowsP99: 3}}}
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if faults := Compare(base, report(tt.change)); len(faults) != tt.faults {
				t.Errorf("%q, want %d", faults, tt.faults)
			}
		})
	}
	mean, wide := Merge([]*Report{{Utilisation: 0.5}, {Utilisation: 0.7}}).Against(Merge([]*Report{{Utilisation: 0.4}, {Utilisation: 0.4}}), func(r *Report) float64 { return r.Utilisation })
	if mean < 0.199 || mean > 0.201 || wide < 0.631 || wide > 0.632 { // 0.1 by 6.314 standard errors
		t.Errorf("%v ± %v", mean, wide)
	}
}

// A difference that the seeds do not tell from chance fails like another, and says so.
func TestCompareTellsOfChance(t *testing.T) {
	t.Parallel()
	of := func(utilisation ...float64) *Report {
		var all []*Report
		for _, u := range utilisation {
			all = append(all, &Report{Utilisation: u})
		}
		return Merge(all)
	}
	base := of(0.6, 0.6, 0.6)
	for name, tt := range map[string]struct {
		ours   *Report
		chance bool
	}{
		"seeds differ much":   {of(0.64, 0.55, 0.58), true},
		"seeds differ little": {of(0.58, 0.57, 0.575), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := Compare(base, tt.ours)
			if len(faults) != 1 || strings.Contains(faults[0], "chance") != tt.chance {
				t.Errorf("%q", faults)
			}
		})
	}
}
