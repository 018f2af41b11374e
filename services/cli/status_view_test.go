package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// Limits that bind an agent have names of their accounts' windows: each stands below its account.
func TestLimitsOfAnAgentStandBelowTheirAccounts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &statusCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}, low: lowTokens}
	of := func(account, name string, available int64) wire.Limit {
		return wire.Limit{LimitID: account + "/" + name, Name: name, Account: account, Unit: "tokens", Window: "session", Capacity: 9, Available: available, Used: 9 - available}
	}
	team := wire.Limit{LimitID: "core/day", Unit: "tokens", Window: "calendar", Capacity: 9, Available: 3}
	c.showByAccount([]wire.Limit{of("a", "session", 1), of("b", "session", 2), of("a", "weekly", 4), team}, time.Now())
	var seen []string
	for line := range strings.Lines(out.String()) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" && word != "LIMIT" {
			seen = append(seen, word)
		}
	}
	if got, want := strings.Join(seen, " "), "a session weekly b session Teams core/day"; got != want {
		t.Errorf("in the order %q, want %q:\n%s", got, want, out.String())
	}
}

// Who waited in vain was given nothing, and is not among the denied: the status tells both.
func TestStatusTellsWaitsInVain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &statusCommand{app: &app{screen: screen.New(&out, func(string) string { return "" })}}
	m := metricsOf(&wire.Totals{Granted: 386, Denied: 46, Exhausted: 40, Queued: 205, QueueGranted: 16, QueueEnded: 188})
	c.showMetrics(&m)
	for _, want := range []string{"386 granted, 46 denied, of those 40 for lack of quota", "205, of those 16 granted, 188 in vain"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("does not say %q:\n%s", want, out.String())
		}
	}
}
