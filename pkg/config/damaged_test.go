package config

import (
	"errors"
	"strings"
	"testing"
)

// What is faulty in an entry hides nothing that can be told of the rest of it, and makes nothing up.
func TestAFaultHidesNoOther(t *testing.T) {
	t.Parallel()
	_, err := Parse("f", []byte(`version: 1
teams:
  - {name: red, weight: heavy, ceilings: {zone: Nowhere/One}}
  - red
accounts:
  - id: plan
    provider: openai
    kind: api
    teams: [red]
    limits:
      - {name: day, unit: tokens, window: {kind: calendar, period: day, zone: Nowhere/Two}, capacity: lots}
      - {name: week, unit: tokens, window: {kind: calendar, period: week, zone: UTC}, capacity: 5}
  - {id: plan, provider: openai, kind: api}
limits:
  - {id: all, scope: {team: blue}, unit: tokens, window: {kind: calendar, period: day, zone: Nowhere/Three}, capacity: -1}
  - {id: all, scope: {team: red}, unit: tokens, window: {kind: calendar, period: day}, capacity: 1}
principals:
  - {name: ann, team: red, bogus: {zone: Nowhere/Four}}
  - {name: ann, team: red, accounts: [plan]}
  - {name: [bob], team: red}
`))
	want := []string{
		`teams[0].weight: must be a whole number, not text "heavy"`,
		`teams[0].ceilings.zone: there is no zone "Nowhere/One"`,
		`teams[1]: the team "red" stands twice, first in line 3`,
		`accounts[0].limits[0].window.zone: there is no zone "Nowhere/Two"`,
		`accounts[0].limits[0].capacity: must be a whole number, not text "lots"`,
		`accounts[1].id: the account "plan" stands twice, first in line 6`,
		`limits[0].scope.team: there is no team "blue"`,
		`limits[0].window.zone: there is no zone "Nowhere/Three"`,
		`limits[0].capacity: -1 is too small`,
		`limits[1].id: the limit id "all" stands twice, first in line 15`,
		`principals[0].bogus: unknown key`,
		`principals[1].name: the principal "ann" stands twice, first in line 18`,
		`principals[2].name: must be text, not a list`,
	}
	if got := faultsOf(t, err); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// faultsOf lists faults without their hints.
func faultsOf(t *testing.T, err error) string {
	t.Helper()
	faults, ok := errors.AsType[Faults](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	lines := make([]string, len(faults))
	for i, f := range faults {
		message, _, _ := strings.Cut(f.Message, ";")
		lines[i] = f.Path + ": " + message
	}
	return strings.Join(lines, "\n")
}

// TestReferencesBesideAFault: a reference to what no entry declares, faulty or not, is told beside the fault; one to what an
// entry declares, or may declare, whose name or contents cannot be read, is not.
func TestReferencesBesideAFault(t *testing.T) {
	t.Parallel()
	const session = "unit: tokens, window: {kind: calendar, period: day}, capacity: 9"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"teams": {
			"teams: [{name: red, weight: -1}, blue]\naccounts: [{id: a, provider: openai, kind: api, teams: [red, blue, green]}]\nunlisted: {team: grey}\n",
			[]string{"teams[0].weight: -1 is too small", `accounts[0].teams[2]: there is no team "green"`, `unlisted.team: there is no team "grey"`},
		},
		"a team whose name cannot be read": {
			"teams: [{called: green}, 'a b']\naccounts: [{id: a, provider: openai, kind: api, teams: [green]}]\n",
			[]string{"teams[0]: name is missing", "teams[0].called: unknown key", `teams[1]: "a b" is not written as it must be`},
		},
		"accounts": {
			"teams: [red]\naccounts: [{id: a, provider: openai, kind: none}]\nlimits: [{id: l, scope: {account: a}, " + session + "}, {id: m, scope: {account: b}, " + session + "}]\n",
			[]string{`accounts[0].kind: "none" is not one of the values allowed`, `limits[1].scope.account: there is no account "b"`},
		},
		"providers": {
			"providers: [{name: mine, bogus: 1}]\naccounts: [{id: a, provider: mine, tier: t}, {id: b, provider: mein, kind: none}, {id: c, provider: other, kind: api}]\n",
			[]string{"providers[0].bogus: unknown key", `accounts[1].provider: there is no provider "mein"`, `accounts[1].kind: "none" is not one of the values allowed`, `accounts[2].provider: there is no provider "other"`},
		},
		"what a faulty provider may add": {
			"providers: [{name: openai, bogus: 1, model_groups: [{name: g, models: [m]}], tiers: [{name: t, kind: api, limits: [{name: l, " + session + "}]}]}]\nteams: [{name: red, shares: [{limit: a/l, floor: 1}, {limit: b/l, floor: 1}]}]\n" +
				"accounts: [{id: a, provider: openai, tier: t, limits: [{name: own, model_group: g, " + session + "}]}, {id: b, provider: claude, tier: tt, limits: [{name: own, model_group: g, " + session + "}]}]\n",
			[]string{"providers[0].bogus: unknown key", `accounts[1].tier: provider claude has no tier "tt"`, `accounts[1].limits[0].model_group: provider claude has no model group "g"`},
		},
		"limits": {
			"teams: [{name: red, weight: -1, ceilings: {tokens: {day: 5}}}, {name: blue, shares: [{limit: red/tokens/day, floor: 1}, {limit: a/x, floor: 1}, {limit: b/x, floor: 1}, {limit: c/x, floor: 1}, {limit: l, floor: 1}, {limit: m, floor: 1}]}]\n" +
				"accounts: [{id: a, provider: openai, kind: none}, {id: b, provider: openai, kind: api}]\nlimits: [{id: l, unit: tokens}]\n",
			[]string{
				"teams[0].weight: -1 is too small", `teams[1].shares[2].limit: there is no limit "b/x"`, `teams[1].shares[3].limit: there is no limit "c/x"`,
				`teams[1].shares[5].limit: there is no limit "m"`, `accounts[0].kind: "none" is not one of the values allowed`, "limits[0]: window is missing",
			},
		},
		"shares of a faulty team": {
			"teams: [{name: red, weight: -1, shares: [{limit: a/x, floor: 1}]}]\naccounts: [{id: a, provider: openai, kind: api}]\n",
			[]string{"teams[0].weight: -1 is too small", `teams[0].shares[0].limit: there is no limit "a/x"`},
		},
		"a section that is none": {
			"teams: {red: 1}\naccounts: [{id: a, provider: openai, kind: api, teams: [red]}]\n",
			[]string{"teams: must be a list, not a mapping"},
		},
	} {
		_, err := Parse("f", []byte("version: 1\n"+c.text))
		if got, want := faultsOf(t, err), strings.Join(c.want, "\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}
