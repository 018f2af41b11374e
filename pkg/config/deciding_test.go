package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// teamsOfThePage is the configuration of docs/deciding.md with the account that it speaks of.
func teamsOfThePage(t *testing.T) (page string, yaml string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/deciding.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\nteams:\n")
	teams, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no configuration of teams")
	}
	return string(text), "version: 1\naccounts:\n  - id: claude-max\n    provider: claude\n    kind: subscription\n    limits:\n" +
		"      - {name: session, unit: tokens, window: {kind: session, duration: 5h}, capacity: 1_000_000}\nteams:\n" + teams
}

// TestThePagesCeilings reads the page's configuration: its ceilings are the limits that the page names, with their numbers.
func TestThePagesCeilings(t *testing.T) {
	t.Parallel()
	page, yaml := teamsOfThePage(t)
	c, err := Parse("page.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(page, "### Ceilings\n")
	part, _, _ = strings.Cut(part, "\n## ")
	names := regexp.MustCompile("`(research/[a-z_/]+)`").FindAllStringSubmatch(part, -1)
	want := map[string]quota.Limit{
		"research/tokens/day":      {Unit: quota.UnitTokens, Capacity: 400_000, Window: quota.Window{Period: quota.PeriodDay}},
		"research/tokens/week":     {Unit: quota.UnitTokens, Capacity: 2_000_000, Window: quota.Window{Period: quota.PeriodWeek}},
		"research/micro_usd/month": {Unit: quota.UnitMicroUSD, Capacity: 50_000_000, Window: quota.Window{Period: quota.PeriodMonth}},
	}
	limits := map[string]quota.Limit{}
	for _, l := range c.Quota.Limits {
		if l.Scope.Account == "" {
			limits[l.ID] = l
		}
	}
	if len(names) != len(want) || len(limits) != len(want) {
		t.Errorf("the page names %q, its configuration makes %d limits of teams, and %d were expected", names, len(limits), len(want))
	}
	for _, name := range names {
		l, w := limits[name[1]], want[name[1]]
		if l.ID == "" || l.Unit != w.Unit || l.Capacity != w.Capacity || l.Window.Period != w.Window.Period || l.Window.Kind != quota.WindowCalendar ||
			l.Window.Zone != "Europe/Berlin" || l.Scope != (quota.Scope{Team: "research"}) {
			t.Errorf("%s is %+v", name[1], l)
		}
	}
}

// TestThePagesTooLargeFloors: a configuration that guarantees more than the limit has is refused, as the page says.
func TestThePagesTooLargeFloors(t *testing.T) {
	t.Parallel()
	page, yaml := teamsOfThePage(t)
	if !strings.Contains(strings.Join(strings.Fields(page), " "), "a configuration that guarantees more than the limit has is refused") {
		t.Error("the page says nothing of floors that are too large")
	}
	_, err := Parse("page.yaml", []byte(strings.Replace(yaml, "floor_percent: 10", "floor_percent: 61", 1)))
	if err == nil || !strings.Contains(err.Error(), "more is guaranteed of limit claude-max/session than it has") {
		t.Errorf("floors of 101 %% give %v", err)
	}
}
