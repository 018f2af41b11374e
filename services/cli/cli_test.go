package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// result is what a command line gave.
type result struct {
	status         int
	stdout, stderr string
}

// bursar runs a command line with nothing in the environment but what env says.
func bursar(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := Run(t.Context(), Process{
		Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Version: "test",
		Getenv: func(name string) string { return env[name] },
	})
	return result{status, stdout.String(), stderr.String()}
}

func TestExitStatuses(t *testing.T) {
	t.Parallel()
	empty := map[string]string{"BURSAR_DATA_DIR": t.TempDir()}
	tests := []struct {
		name   string
		args   []string
		status int
		says   string // in the error
	}{
		{"help", []string{"--help"}, ExitOK, ""},
		{"no command is help", nil, ExitOK, ""},
		{"version", []string{"version"}, ExitOK, ""},
		{"completion", []string{"completion", "bash"}, ExitOK, ""},
		{"an unknown command", []string{"stauts"}, ExitUsage, "did you mean status?"},
		{"an unknown flag", []string{"status", "--jsno"}, ExitUsage, "--jsno"},
		{"too many arguments", []string{"status", "x"}, ExitUsage, "takes no arguments"},
		{"a missing argument", []string{"settle"}, ExitUsage, "the reservation's id"},
		{"reserve what", []string{"reserve", "--model", "m"}, ExitUsage, "--provider"},
		{"reserve with which model", []string{"reserve", "--provider", "p"}, ExitUsage, "--model"},
		{"reserve how much", []string{"reserve", "--provider", "p", "--model", "m"}, ExitUsage, "--input"},
		{"a number that is none", []string{"reserve", "--output", "abc"}, ExitUsage, `--output "abc" is not a whole number`},
		{"a number that is too large", []string{"reserve", "--output", "99999999999999999999"}, ExitUsage, "out of range"},
		{"a span of nothing", []string{"reserve", "--ttl", "1y"}, ExitUsage, `--ttl "1y" is not a span of time such as 90s or 2h`},
		{"help of an unknown command", []string{"help", "stauts"}, ExitUsage, "did you mean status?"},
		{"help of an unknown command below", []string{"help", "suggest", "nothing"}, ExitUsage, "nothing"},
		{"help of a command below", []string{"help", "suggest", "explain"}, ExitOK, ""},
		{"completion of an unknown shell", []string{"completion", "nosh"}, ExitUsage, "nosh"},
		{"an unknown type", []string{"watch", "--type", "nothing"}, ExitUsage, "reservation.granted"},
		{"a negative number of tokens", []string{"status", "--low", "-4"}, ExitUsage, "--low"},
		{"a life that is over", []string{"reserve", "--provider", "p", "--model", "m", "--output", "1", "--ttl", "-5s"}, ExitUsage, "--ttl"},
		{"a wait of years", []string{"reserve", "--provider", "p", "--model", "m", "--output", "1", "--max-wait", "9000h"}, ExitUsage, "--max-wait"},
		{"extend by nothing", []string{"extend", "id"}, ExitUsage, "--ttl"},
		{"a negative wait", []string{"verify", "--wait", "-1s"}, ExitUsage, "--wait"},
		{"estimate what", []string{"estimate"}, ExitUsage, "--task"},
		{"hold what", []string{"hold"}, ExitUsage, "workspace"},
		{"hold a workspace with a name", []string{"hold", "workspace", "x"}, ExitUsage, "workspace"},
		{"hold an account without a name", []string{"hold", "account"}, ExitUsage, "name of one account"},
		{"notify whom", []string{"notify"}, ExitUsage, "endpoints.yaml"},
		{"apply what", []string{"apply"}, ExitUsage, "-f FILE"},
		{"a span that is none", []string{"watch", "--since", "soon"}, ExitUsage, "soon"},
		{"an end without a start", []string{"history", "--to", "2026-01-01T00:00:00Z"}, ExitUsage, "--from"},
		{"two timeframes", []string{"history", "24h", "--from", "2026-01-01T00:00:00Z"}, ExitUsage, "not both"},
		{"no busiest hour", []string{"history", "--peaks", "0"}, ExitUsage, "--peaks must be from 1 to 100"},
		{"no wait to do without", []string{"reserve", "--provider", "claude", "--model", "x", "--output", "1", "--no-wait"}, ExitUsage, "--max-wait"},
		{"replay of nothing", []string{"replay"}, ExitUsage, "--demo"},
		{"replay of too much", []string{"replay", "--demo", "x"}, ExitUsage, "--demo"},
		{"replay of an unknown format", []string{"replay", "--format", "x", "y"}, ExitUsage, "azure"},
		{"simulate no load", []string{"simulate", "--load", "1,0"}, ExitUsage, "--load"},
		{"simulate no days", []string{"simulate", "--days", "0"}, ExitUsage, "--days"},
		{"simulate no seed", []string{"simulate", "--seeds", "0"}, ExitUsage, "--seeds"},
		{"simulate an unknown policy", []string{"simulate", "--policy", "x"}, ExitUsage, "fcfs"},
		{"replay at no speed", []string{"replay", "--demo", "--speed", "0"}, ExitUsage, "--speed"},
		{"an unknown log level", []string{"status", "--log-level", "loud"}, ExitUsage, "loud"},
		{"nkey and creds", []string{"status", "--nkey", "a", "--creds", "b"}, ExitUsage, "not both"},
		{"a usage that is no time", []string{"report", "id", "--at", "noon"}, ExitUsage, "noon"},
		{"no Bursar", []string{"status"}, ExitFailure, "start one with `bursar up`"},
		{"no server", []string{"status", "--server", "nats://127.0.0.1:1"}, ExitFailure, "no NATS server answers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := bursar(t, empty, tt.args...)
			if got.status != tt.status || !strings.Contains(got.stderr, tt.says) {
				t.Errorf("status %d, stderr %q; want %d and %q", got.status, got.stderr, tt.status, tt.says)
			}
			if tt.status != ExitOK && got.stdout != "" {
				t.Errorf("a failure wrote %q to standard output", got.stdout)
			}
		})
	}
}

func TestStatusOfErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"quota, later", &wire.Error{Code: quota.CodeInsufficientQuota, Retryable: true}, ExitTryLater},
		{"quota, never", &wire.Error{Code: quota.CodeInsufficientQuota}, ExitFailure},
		{"too many at once", &wire.Error{Code: quota.CodeConcurrentLimitExceeded, Retryable: true}, ExitTryLater},
		{"not observed yet", &wire.Error{Code: quota.CodeSubscriptionInfoUnavailable, Retryable: true}, ExitTryLater},
		{"nobody there", &wire.Error{Code: quota.CodeUnavailable, Retryable: true}, ExitFailure},
		{"anything else", errors.New("x"), ExitFailure},
		{"usage", usagef("x"), ExitUsage},
		{"none", nil, ExitOK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			a := &app{process: Process{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}}
			if got := a.exit(tt.err); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
}

// Several faults of a file stand one on a line, and none of them can move the cursor.
func TestFaultsStandOneOnALine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{process: Process{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}}
	a.report(errors.Join(errors.New("a.yaml:1:1: x\x1b[2J"), errors.New("a.yaml:2:1: y")))
	if got, want := out.String(), "bursar: a.yaml:1:1: x?[2J\n  a.yaml:2:1: y\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	got := bursar(t, map[string]string{"BURSAR_DATA_DIR": t.TempDir()}, "status", "--json")
	var doc failure
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.Error == nil || doc.Error.Message == "" {
		t.Errorf("output %q is no error document (%v)", got.stdout, err)
	}
	if got.status != ExitFailure || got.stderr != "" {
		t.Errorf("status %d, stderr %q; want %d and nothing", got.status, got.stderr, ExitFailure)
	}
}

// TestEveryCommandIsDocumented holds the help to its own rules and docs/cli.md to the commands.
func TestEveryCommandIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	a := &app{process: Process{Getenv: func(string) string { return "" }}}
	for _, cmd := range a.root().Commands() {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if cmd.Short == "" || cmd.Example == "" || cmd.Args == nil {
			t.Errorf("%s has no summary, no example or takes any arguments", cmd.Name())
		}
		if !strings.Contains(string(page), "### bursar "+cmd.Name()+"\n") {
			t.Errorf("docs/cli.md has no section of %s", cmd.Name())
		}
		checkExamples(t, cmd)
		for _, child := range cmd.Commands() {
			checkExamples(t, child)
		}
	}
}

// checkExamples finds examples with flags or commands that there are not.
func checkExamples(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	for line := range strings.SplitSeq(strings.ReplaceAll(cmd.Example, "\\\n", ""), "\n") {
		if !strings.Contains(line, cmd.CommandPath()) {
			t.Errorf("an example of %s shows something else: %q", cmd.Name(), line)
		}
		line, _, _ = strings.Cut(line, " | ")
		words := strings.Fields(line)
		shown := cmd // the command itself, or one below it
		if below, _, err := cmd.Root().Find(words[slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, "bursar") })+1:]); err == nil {
			shown = below
		}
		for _, word := range words {
			flag, isFlag := strings.CutPrefix(word, "--")
			if isFlag && shown.Flags().Lookup(flag) == nil && shown.InheritedFlags().Lookup(flag) == nil {
				t.Errorf("an example of %s has the unknown flag %q", cmd.Name(), word)
			}
		}
	}
}
