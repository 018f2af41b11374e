package amend

import (
	"errors"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/wire"
)

const text = `version: 1

# Who is charged.
teams: [core, research]

# In order of preference.
accounts:
  # The API.
  - id: api
    provider: claude
    tier: start
    limits:
      - {name: monthly_spend, capacity: 400_000_000} # ours

  # The subscription of Ann.
  - id: max
    provider: claude
    tier: max_20x   # since May
    limits:
      - {name: session, capacity: 9_000_000}

limits:
  - id: core/month
    scope: {team: core}
    unit: micro_usd
    window: {kind: calendar, period: month}
    capacity: 1_000_000_000 # until the audit

principals:
  - {name: ann, team: core}
`

const shared = `version: 1
teams:
  - name: core
    shares:
      - {limit: max/session, floor_percent: 40}
    ceilings: {tokens: {day: 1_000_000}}
  - research
accounts: [{id: max, provider: claude, tier: max_5x}]
`

func TestAmend(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		text   string
		change wire.SuggestionChange
		want   [][2]string // lines that go and lines that come; an empty old one is new
		err    error
	}{
		{"a limit of its own", text, wire.SuggestionChange{Kind: setCapacity, LimitID: "core/month", Amount: 1_500_000_000},
			[][2]string{{"    capacity: 1_000_000_000 # until the audit", "    capacity: 1_500_000_000 # until the audit"}}, nil},
		{"a limit that an account states", text, wire.SuggestionChange{Kind: setCapacity, LimitID: "api/monthly_spend", Amount: 500_000_000},
			[][2]string{{"      - {name: monthly_spend, capacity: 400_000_000} # ours", "      - {name: monthly_spend, capacity: 500_000_000} # ours"}}, nil},
		{"a limit that an account inherits", text, wire.SuggestionChange{Kind: setCapacity, LimitID: "max/weekly", Amount: 90_000_000},
			[][2]string{{"", "      - {name: weekly, capacity: 90_000_000}"}}, nil},
		{"a team's ceiling", shared, wire.SuggestionChange{Kind: setCapacity, LimitID: "core/tokens/day", Amount: 250_000},
			[][2]string{{"    ceilings: {tokens: {day: 1_000_000}}", "    ceilings: {tokens: {day: 250_000}}"}}, nil},
		{"another plan, with the capacities that are stated", text, wire.SuggestionChange{Kind: changeTier, Account: "max", Provider: "claude", Tier: "max_5x"},
			[][2]string{{"    tier: max_20x   # since May", "    tier: max_5x   # since May"}, {"      - {name: session, capacity: 9_000_000}", "      - {name: session, capacity: 2_500_000}"}}, nil},
		{"more plans", text, wire.SuggestionChange{Kind: addAccounts, Provider: "claude", Tier: "max_5x", Amount: 2},
			[][2]string{{"", "  - {id: claude-max-5x-1, provider: claude, tier: max_5x}"}, {"", "  - {id: claude-max-5x-2, provider: claude, tier: max_5x}"}}, nil},
		{"a bound for a plain team", text, wire.SuggestionChange{Kind: boundFanOut, Team: "core", Amount: 3},
			[][2]string{{"teams: [core, research]", "teams: [{name: core, fan_out: {live_per_agent: 3}}, research]"}}, nil},
		{"a bound for a team with shares", shared, wire.SuggestionChange{Kind: boundFanOut, Team: "core", Amount: 3},
			[][2]string{{"", "    fan_out: {live_per_agent: 3}"}}, nil},
		{"a floor that is lent", shared, wire.SuggestionChange{Kind: lendFloor, Team: "core", LimitID: "max/session", Amount: 80},
			[][2]string{{"      - {limit: max/session, floor_percent: 40}", "      - {lend_percent: 80, limit: max/session, floor_percent: 40}"}}, nil},
		{"it stands first already", text, wire.SuggestionChange{Kind: preferAccount, Account: "max", Target: "api"}, nil, ErrNothing},
		{"up to the agents", text, wire.SuggestionChange{Kind: "use_model"}, nil, ErrNothing},
		{"what is so already", text, wire.SuggestionChange{Kind: setCapacity, LimitID: "core/month", Amount: 1_000_000_000}, nil, ErrNothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := Amend("x.yaml", []byte(row.text), &row.change)
			if !errors.Is(err, row.err) {
				t.Fatalf("got %v, want %v", err, row.err)
			}
			if err != nil {
				return
			}
			gone, come := difference(row.text, string(got))
			for _, w := range row.want {
				if w[0] != "" && !gone[w[0]] || !come[w[1]] {
					t.Errorf("%q did not become %q in\n%s", w[0], w[1], got)
				}
				delete(gone, w[0])
				delete(come, w[1])
			}
			if len(gone)+len(come) > 0 {
				t.Errorf("other lines changed: gone %v, new %v", gone, come)
			}
		})
	}
}

// difference tells which lines are in one text and not in the other.
func difference(a, b string) (gone, come map[string]bool) {
	gone, come = map[string]bool{}, map[string]bool{}
	for _, l := range strings.Split(a, "\n") {
		gone[l] = true
	}
	for _, l := range strings.Split(b, "\n") {
		if !gone[l] {
			come[l] = true
		}
	}
	for _, l := range strings.Split(b, "\n") {
		delete(gone, l)
	}
	return gone, come
}

// An account that is preferred moves with its comments, and nothing is lost.
func TestAmendMovesAnAccount(t *testing.T) {
	t.Parallel()
	got, err := Amend("x.yaml", []byte(text), &wire.SuggestionChange{Kind: preferAccount, Account: "api", Target: "max"})
	if err != nil {
		t.Fatal(err)
	}
	if gone, come := difference(text, string(got)); len(gone)+len(come) > 0 {
		t.Errorf("lines were lost or made: %v, %v", gone, come)
	}
	order := []string{"# In order of preference.", "# The subscription of Ann.", "- id: max", "since May", "# The API.", "- id: api", "# ours", "limits:\n  - id: core/month"}
	at := -1
	for _, part := range order {
		next := strings.Index(string(got), part)
		if next <= at {
			t.Errorf("%q is not where it belongs in\n%s", part, got)
		}
		at = next
	}
}

func TestAmendSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, text string
		change     wire.SuggestionChange
		want       string
	}{
		{"no such limit", text, wire.SuggestionChange{Kind: setCapacity, LimitID: "x/y", Amount: 1}, "no limit x/y"},
		{"no such account", text, wire.SuggestionChange{Kind: changeTier, Account: "x", Tier: "pro"}, "no account x"},
		{"no such team", text, wire.SuggestionChange{Kind: boundFanOut, Team: "x"}, "no team x"},
		{"accounts in brackets", shared, wire.SuggestionChange{Kind: addAccounts, Provider: "claude", Tier: "pro", Amount: 1}, "one below the other"},
		{"a result with faults", text, wire.SuggestionChange{Kind: setCapacity, LimitID: "core/month", Amount: -5}, "faults"},
		{"no YAML", ": [", wire.SuggestionChange{Kind: setCapacity}, "read the configuration"},
	} {
		if _, err := Amend("x.yaml", []byte(row.text), &row.change); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want one that says %q", row.name, err, row.want)
		}
	}
}
