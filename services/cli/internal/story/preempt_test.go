package story

import (
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// TestStoryOfAPreemption: who lent a floor reads when it went back, and to whom.
func TestStoryOfAPreemption(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	plan := b.state.Config
	plan.Unlisted = &quota.Principal{Team: "guests", MaxPriority: quota.PriorityNormal}
	plan.Teams = []quota.Team{{Name: "core", Shares: []quota.Share{{Limit: "max/day", Floor: 900, LendPart: 100_000}}}}
	b.do("teams", quota.ApplyConfig{Config: plan})
	b.reserve("older", 500, func(c *quota.Reserve) {
		c.Actor, c.Preemptible, c.Lease = quota.Actor{Principal: "bob", Agent: "b2"}, true, quota.Hour
	})
	b.now = b.now.Add(quota.Second)
	b.reserve("lent", 400, func(c *quota.Reserve) {
		c.Actor, c.Preemptible, c.Lease = quota.Actor{Principal: "bob", Agent: "b1"}, true, quota.Hour
	})
	b.reserve("owner", 800, func(c *quota.Reserve) { c.MaxWait = quota.Hour })
	b.now = b.now.Add(quota.Minute)
	b.reserve("later", 1)
	told := b.story("lent").all()
	for _, want := range []string{"preempted\n", "told that it is preempted at ", "team core asked for what its floor on max/day guarantees", "preempted after 1m0s: 0 of 400 tokens used", "not to be preemptible"} {
		if !strings.Contains(told, want) {
			t.Errorf("the story does not say %q:\n%s", want, told)
		}
	}
}

// TestStoryOfAPart: who gives back a part reads how much, why no more, and what is left.
func TestStoryOfAPart(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	plan := b.state.Config
	plan.Unlisted = &quota.Principal{Team: "guests", MaxPriority: quota.PriorityNormal}
	plan.Teams = []quota.Team{{Name: "core", Shares: []quota.Share{{Limit: "max/day", Floor: 600, LendPart: 100_000}}}}
	b.do("teams", quota.ApplyConfig{Config: plan})
	b.reserve("lent", 1000, func(c *quota.Reserve) {
		c.Actor, c.Preemptible, c.Lease = quota.Actor{Principal: "bob", Agent: "b1"}, true, quota.Hour
	})
	b.reserve("owner", 350, func(c *quota.Reserve) { c.MaxWait = quota.Hour })
	waits := b.story("owner").all()
	b.now = b.now.Add(quota.Minute)
	b.reserve("later", 1)
	told := b.story("lent").all()
	for _, want := range []string{
		"told that it gives 350 tokens back at ", "350 of max/day are needed there, and no more is taken",
		"gave 350 tokens back for the floor of team core, and goes on with 650", "returned 350 to max/day",
	} {
		if !strings.Contains(told, want) {
			t.Errorf("the story does not say %q:\n%s", want, told)
		}
	}
	if want := "a floor guarantees 350 on max/day, and others have it"; !strings.Contains(waits, want) {
		t.Errorf("the owner's story does not say %q:\n%s", want, waits)
	}
}
