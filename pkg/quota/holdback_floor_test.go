package quota

import "testing"

// What is held back beside floors: floors go first, and what is held back makes up for what others used beyond their
// reservations. 100 of 1,000 are held back for high priority.
func TestHoldBackBesideFloors(t *testing.T) {
	t.Parallel()
	whole, half := core(Share{Floor: 300}), core(Share{Floor: 300, LendPart: 50_000})
	for name, c := range map[string]struct {
		team           Team
		reserved, used int64 // by others, before
		lent           bool  // to them
		ask            int64
		by             Actor
		priority       Priority
		granted        bool
	}{
		"others leave both":                               {team: whole, ask: 600, by: bob, granted: true},
		"and take of neither":                             {team: whole, ask: 601, by: bob},
		"urgent work of others leaves the floor":          {team: whole, reserved: 600, used: 600, ask: 100, by: bob, priority: PriorityHigh, granted: true},
		"and takes no more than is held back":             {team: whole, reserved: 600, used: 600, ask: 101, by: bob, priority: PriorityHigh},
		"the owner gets its floor":                        {team: whole, reserved: 600, used: 600, ask: 300, by: ann, granted: true},
		"and beyond it nothing that is held back":         {team: whole, reserved: 600, used: 600, ask: 301, by: ann},
		"an overrun comes out of what is held":            {team: whole, reserved: 600, used: 650, ask: 300, by: ann, granted: true},
		"all of it":                                       {team: whole, reserved: 600, used: 700, ask: 300, by: ann, granted: true},
		"beyond that nothing is there to be given":        {team: whole, reserved: 600, used: 701, ask: 300, by: ann},
		"what is left of the floor is":                    {team: whole, reserved: 600, used: 701, ask: 299, by: ann, granted: true},
		"of a floor that is lent the rest goes first":     {team: half, reserved: 750, used: 750, lent: true, ask: 150, by: ann, granted: true},
		"also after an overrun":                           {team: half, reserved: 750, used: 850, lent: true, ask: 150, by: ann, granted: true},
		"what was lent does not":                          {team: half, reserved: 750, used: 750, lent: true, ask: 151, by: ann},
		"a floor that reaches into what is held is whole": {team: core(Share{Floor: 950}), ask: 950, by: ann, granted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newTeams(t, c.team)
			l.configure(func(config *Config) {
				config.Teams = []Team{c.team}
				config.Limits[0].HoldBack = &HoldBack{Percent: 10, Priority: PriorityHigh}
				config.Principals = append(config.Principals, Principal{Name: bob.Principal, Team: "guests", MaxPriority: PriorityHigh})
			})
			if c.reserved > 0 {
				l.reserve(c.reserved, by(bob), func(r *Reserve) { r.Preemptible = c.lent })
				if _, r := l.do(Settle{Actor: bob, Reservation: "r1", Items: out(c.used)}); !r.OK() && !r.Recorded {
					t.Fatalf("got %+v", r)
				}
			}
			r := l.reserve(c.ask, by(c.by), func(r *Reserve) { r.Priority = max(PriorityNormal, c.priority) })
			if r.OK() != c.granted {
				t.Fatalf("granted is %v, want %v: %+v", r.OK(), c.granted, r)
			}
			if !c.granted && r.Code != CodeInsufficientQuota {
				t.Fatalf("refused as %s", r.Code)
			}
		})
	}
}

// What a whole floor guarantees is refused for now, not for good, when a part of the floor is taken.
func TestAFloorIsWholeAgainInTheNextWindow(t *testing.T) {
	t.Parallel()
	l := newTeams(t)
	l.configure(func(config *Config) {
		config.Teams = []Team{core(Share{Floor: 950})}
		config.Limits[0].HoldBack = &HoldBack{Percent: 10, Priority: PriorityHigh}
	})
	l.reserve(100)
	l.must(Settle{Actor: ann, Reservation: "r1", Items: out(100)})
	if r := l.reserve(920); r.OK() || !r.Retryable || r.RetryAfter != 5*Hour {
		t.Fatalf("got %+v", r)
	}
	if r := l.reserve(951); r.OK() || r.Retryable {
		t.Fatalf("more than the floor is never granted at this priority: %+v", r)
	}
	l.wait(5 * Hour)
	if r := l.reserve(920); !r.OK() {
		t.Fatalf("refused in the next window: %+v", r)
	}
}
