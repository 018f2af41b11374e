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
	faults, ok := errors.AsType[Faults](err)
	if !ok {
		t.Fatal(err)
	}
	var got []string
	for _, f := range faults {
		message, _, _ := strings.Cut(f.Message, ";")
		got = append(got, f.Path+": "+message)
	}
	want := []string{
		`teams[0].weight: must be a whole number, not text "heavy"`,
		`teams[0].ceilings.zone: there is no zone "Nowhere/One"`,
		`teams[1]: the team "red" stands twice, first in line 3`,
		`accounts[0].limits[0].window.zone: there is no zone "Nowhere/Two"`,
		`accounts[0].limits[0].capacity: must be a whole number, not text "lots"`,
		`accounts[1].id: the account "plan" stands twice, first in line 6`,
		`limits[0].window.zone: there is no zone "Nowhere/Three"`,
		`limits[0].capacity: -1 is too small`,
		`limits[1].id: the limit id "all" stands twice, first in line 15`,
		`principals[0].bogus: unknown key`,
		`principals[1].name: the principal "ann" stands twice, first in line 18`,
		`principals[2].name: must be text, not a list`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
