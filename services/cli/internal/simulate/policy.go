package simulate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Policy is a way to share quota: a configuration and how agents ask. The rules are the same for all.
type Policy struct {
	Name string
	// Queue lets refused work wait in the ledger; without it agents ask again after BackOff.
	Queue   bool
	BackOff quota.Millis
	// Priorities tells whether agents say how urgent their work is.
	Priorities bool
	// Learned estimates by a quantile of what such work used before; without it by the table and its margin.
	Learned bool
	// Shrink lets agents take less than they asked for and extend later.
	Shrink bool
	// Configure changes the world's configuration to the policy's.
	Configure func(quota.Config) quota.Config
}

const (
	// backOff is after how long an agent asks again where nobody tells it when to.
	backOff = 5 * quota.Minute
	// Names of the policies.
	first, ours = "fcfs", "bursar"
)

// FirstCome is first come, first served, without a queue: whoever asks when there is room gets it, and who is refused
// asks again after a fixed time. Nothing is kept for anybody.
func FirstCome() Policy {
	return Policy{Name: first, BackOff: backOff, Configure: forAll}
}

// forAll takes away what a configuration keeps for some.
func forAll(c quota.Config) quota.Config {
	c.Teams, c.Limits = nil, slices.Clone(c.Limits)
	for i := range c.Limits {
		c.Limits[i].HoldBack = nil
	}
	return c
}

// Bursar is everything that the allocator can do.
func Bursar() Policy {
	return Policy{
		Name: ours, Queue: true, BackOff: backOff, Priorities: true, Learned: true, Shrink: true,
		Configure: func(c quota.Config) quota.Config { return c },
	}
}

// Policies lists all, the baseline first.
func Policies() []Policy { return []Policy{FirstCome(), Bursar()} }

// ParsePolicy finds a policy by name.
func ParsePolicy(name string) (Policy, error) {
	var known []string
	for _, p := range Policies() {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return Policy{}, fmt.Errorf("there is no policy %q; known are %s", name, strings.Join(known, ", "))
}

// patience is how long an agent waits for its grant before its work is of no use any more.
func patience(p quota.Priority) quota.Millis {
	switch p {
	case quota.PriorityLow:
		return quota.Day
	case quota.PriorityNormal:
		return 5 * quota.Hour
	default:
		return quota.Hour
	}
}
