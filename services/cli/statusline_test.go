package cli

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

const testStatusLine = `{"model":{"display_name":"Opus"},"rate_limits":{"five_hour":{"used_percentage":23.5},"seven_day":{"used_percentage":41}}}`

// statusLineIn runs the command with an input and an environment.
func statusLineIn(t *testing.T, env map[string]string, input io.Reader, args ...string) (result, time.Duration) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	start := time.Now()
	status := Run(t.Context(), Process{
		Args: append([]string{"statusline"}, args...), Stdin: input, Stdout: &stdout, Stderr: &stderr, Version: "test",
		Getenv: func(name string) string { return env[name] },
	})
	return result{status, stdout.String(), stderr.String()}, time.Since(start)
}

// TestStatusLine tells a real broker what the JSON tells, once in a minute, and shows what the agent holds.
func TestStatusLine(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	ask[wire.ReservationReply](i, "reserve", "--agent", "builder", "--provider", "claude", "--model", "claude-sonnet-5", "--output", "50000")
	env := map[string]string{datadir.EnvDir: i.dir, envAccount: demoAccount, envAgent: "builder", envCache: t.TempDir()}
	// A busy machine may need longer than a status line has.
	got, _ := statusLineIn(t, env, strings.NewReader(testStatusLine), "--wait", "1s", "--json")
	doc := document[statusLineView](t, got.stdout)
	if got.status != ExitOK || !doc.Observed || !doc.Reachable || len(doc.Reservations) != 1 || len(doc.Windows) != 2 {
		t.Fatalf("%+v: %s %s", doc, got.stdout, got.stderr)
	}
	if want := "session 24% | weekly 41% | reserved 50k of 50k left"; !strings.HasPrefix(doc.Line, want) {
		t.Errorf("%q", doc.Line)
	}
	accounts := ask[wire.AccountsReply](i, "accounts")
	seen := false
	for _, l := range accounts.Accounts[0].Limits {
		seen = seen || l.Name == "session" && l.Observed != nil && l.Observed.UsedPercent.String() == "23.5"
	}
	if !seen {
		t.Errorf("the session was not observed: %+v", accounts.Accounts[0])
	}
	got, _ = statusLineIn(t, env, strings.NewReader(testStatusLine), "--wait", "1s", "--json")
	if again := document[statusLineView](t, got.stdout); again.Observed || !again.Reachable {
		t.Errorf("the same a moment later: %+v", again)
	}
	delete(env, envAccount)
	got, _ = statusLineIn(t, env, strings.NewReader(testStatusLine), "--wait", "1s")
	if !strings.HasPrefix(got.stdout, "session 24% |") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("without an account: %q", got.stdout)
	}
}

// TestStatusLineAlone: a broker that is away, that never answers, or that refuses us costs neither the line nor the time.
func TestStatusLineAlone(t *testing.T) {
	t.Parallel()
	hole, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	for name, env := range map[string]map[string]string{
		"no broker was ever here":   {datadir.EnvDir: t.TempDir()},
		"nobody listens":            {envServer: "nats://127.0.0.1:1"},
		"it accepts, and is silent": {envServer: "nats://" + hole.Addr().String()},
		"no such context":           {envContext: "nowhere-at-all"},
		"no such seed":              {envServer: "nats://127.0.0.1:1", envNkey: "/nowhere"},
	} {
		env[envAccount], env[envCache] = demoAccount, t.TempDir()
		got, took := statusLineIn(t, env, strings.NewReader(testStatusLine), "--wait", "300ms")
		if got.status != ExitOK || got.stdout != "session 24% | weekly 41%\n" || got.stderr != "" {
			t.Errorf("%s: status %d, %q, %q", name, got.status, got.stdout, got.stderr)
		}
		if took > 3*time.Second { // generous: the machine may be busy
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

// TestStatusLineInput: whatever comes in, or does not, there is one line and no failure.
func TestStatusLineInput(t *testing.T) {
	t.Parallel()
	open, writer := io.Pipe() // nobody writes, and nobody closes
	t.Cleanup(func() { _ = writer.Close() })
	halfOpen, half := io.Pipe()
	go func() { _, _ = io.WriteString(half, testStatusLine) }() // the document, and no end of the input
	t.Cleanup(func() { _ = half.Close() })
	for name, c := range map[string]struct {
		input io.Reader
		want  string
		wait  string
	}{
		"empty":            {strings.NewReader(""), "bursar: nothing told yet\n", "900ms"},
		"no JSON":          {strings.NewReader("hello"), "bursar: nothing told yet\n", "900ms"},
		"cut":              {strings.NewReader(testStatusLine[:40]), "bursar: nothing told yet\n", "900ms"},
		"binary":           {bytes.NewReader([]byte{0, 255, 1}), "bursar: nothing told yet\n", "900ms"},
		"huge":             {strings.NewReader(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`), "bursar: nothing told yet\n", "900ms"},
		"something after":  {strings.NewReader(testStatusLine + "\n\n{}"), "session 24% | weekly 41%\n", "900ms"},
		"never closed":     {open, "bursar: nothing told yet\n", "20ms"},
		"told, not closed": {halfOpen, "session 24% | weekly 41%\n", "900ms"},
	} {
		got, took := statusLineIn(t, map[string]string{datadir.EnvDir: t.TempDir()}, c.input, "--wait", c.wait)
		if got.status != ExitOK || got.stderr != "" || took > 3*time.Second || got.stdout != c.want {
			t.Errorf("%s: status %d after %s, %q %q", name, got.status, took, got.stdout, got.stderr)
		}
	}
}
