package house

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

const thisFile = "tools/house/alike_test.go"

// Some things stand in several places because Go, SQL, schemas and pages cannot read them from one. They stand there alike.

// TestReasonsAreListedWhole: whoever lists the reasons of a refusal lists all that pkg/quota has.
func TestReasonsAreListedWhole(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile(`(?m)^\s*Reason\w+\s+Reason = "(\w+)"`).FindAllStringSubmatch(read(t, "pkg/quota/admit.go"), -1)
	if len(found) < 4 {
		t.Fatalf("pkg/quota/admit.go has %d reasons; where are they now?", len(found))
	}
	listed := 0
	for _, name := range tracked(t) {
		if name == thisFile {
			continue
		}
		for number, line := range strings.Split(read(t, name), "\n") {
			if !strings.Contains(line, "depleted") || !strings.Contains(line, "too_large") {
				continue
			}
			listed++
			for _, reason := range found {
				if !strings.Contains(line, reason[1]) {
					t.Errorf("%s:%d lists the reasons of refusals and lacks %s", name, number+1, reason[1])
				}
			}
		}
	}
	if listed < 6 {
		t.Errorf("the reasons are listed in %d lines only", listed)
	}
}

// TestExhaustionIsCountedAlike: what quota.Exhausts says of a refusal, the condition in SQL says everywhere.
func TestExhaustionIsCountedAlike(t *testing.T) {
	t.Parallel()
	source := read(t, "pkg/quota/admit.go")
	_, rule, _ := strings.Cut(source, "func Exhausts(")
	rule, _, _ = strings.Cut(rule, "\n}")
	var want []string // the reasons that do not count
	for _, n := range regexp.MustCompile(`reason != (Reason\w+)`).FindAllStringSubmatch(rule, -1) {
		if value := regexp.MustCompile(n[1] + `\s+Reason = "(\w+)"`).FindStringSubmatch(source); value != nil {
			want = append(want, value[1])
		}
	}
	slices.Sort(want)
	const of = "IN ('insufficient_quota', 'concurrent_limit_exceeded')"
	condition := regexp.MustCompile(`^ AND (?:\w\.)?reason (?:!= ('\w+')|NOT IN \(([^)]*)\))`)
	places := 0
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".sql") && !strings.HasSuffix(name, ".go") || name == thisFile {
			continue
		}
		for number, line := range strings.Split(read(t, name), "\n") {
			_, after, found := strings.Cut(line, of)
			if !found {
				continue
			}
			places++
			var got []string
			if match := condition.FindStringSubmatch(after); match != nil {
				got = strings.Split(strings.ReplaceAll(match[1]+match[2], "'", ""), ", ")
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s:%d leaves the reasons %q out of exhaustion, quota.Exhausts %q", name, number+1, got, want)
			}
		}
	}
	if len(want) == 0 || places < 5 {
		t.Errorf("found %d conditions in SQL, and %q in quota.Exhausts; where is that now?", places, want)
	}
}
