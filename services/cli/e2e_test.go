package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natsproc"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/cli/internal/replay"
	"github.com/bursarhq/bursar/services/cli/internal/story"
)

// TestMain lets the test binary be the ClickHouse child and, for the tests that kill it, a whole `bursar up`.
func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	natsproc.MaybeRun()
	if os.Getenv(envRunBursar) != "" {
		os.Exit(Run(context.Background(), Process{
			Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: "test",
		}))
	}
	os.Exit(m.Run())
}

// envRunBursar makes the test binary the command itself.
const envRunBursar = "BURSAR_TEST_RUN"

// startLimit is how long a system may take to start on a machine that runs other tests.
const startLimit = 2 * time.Minute

// instance is a running `bursar up`.
type instance struct {
	t     *testing.T
	dir   string
	env   map[string]string
	ready readyEvent
	stop  func() int // drains and gives the exit status
}

// up starts a system in this process and stops it with the test.
func up(t *testing.T, dir string, args ...string) *instance {
	t.Helper()
	i := &instance{t: t, dir: dir, env: map[string]string{datadir.EnvDir: dir, "COLUMNS": "80"}}
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- Run(ctx, Process{
			Args:  append([]string{"up", "--nats-port", "0", "--clickhouse-port", "0", "--page-listen", "127.0.0.1:0", "--sync", "2m", "--json", "--log-level", "warn"}, args...),
			Stdin: strings.NewReader(""), Stdout: in, Stderr: t.Output(), Version: "test",
			Getenv: func(name string) string { return i.env[name] },
		})
		_ = in.Close() // the pipe's reader is gone or sees the end
	}()
	stopped := false
	i.stop = func() int {
		stopped = true
		cancel()
		return <-status
	}
	t.Cleanup(func() {
		if !stopped {
			i.stop()
		}
	})
	i.ready = awaitReady(t, out)
	go func() { _, _ = io.Copy(io.Discard, out) }() // what follows is not looked at
	return i
}

// awaitReady reads the line that says that everything serves.
func awaitReady(t *testing.T, out io.Reader) readyEvent {
	t.Helper()
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n') // a line that is cut short cannot be decoded
		line <- text
	}()
	select {
	case text := <-line:
		var ready readyEvent
		if err := json.Unmarshal([]byte(text), &ready); err != nil || ready.Event != "ready" {
			t.Fatalf("up wrote %q, not that it is ready (%v)", text, err)
		}
		return ready
	case <-time.After(startLimit):
		t.Fatalf("up was not ready within %s", startLimit)
	}
	return readyEvent{}
}

// do runs a command against the instance and wants a status.
func (i *instance) do(status int, args ...string) string {
	i.t.Helper()
	got := bursar(i.t, i.env, args...)
	if got.status != status {
		i.t.Fatalf("bursar %s: status %d, want %d\n%s%s", strings.Join(args, " "), got.status, status, got.stdout, got.stderr)
	}
	return got.stdout
}

// ask runs a command with --json that has to succeed, and reads its document.
func ask[T any](i *instance, args ...string) T {
	i.t.Helper()
	return document[T](i.t, i.do(ExitOK, append(args, "--json")...))
}

func document[T any](t *testing.T, text string) T {
	t.Helper()
	var doc T
	decoder := json.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&doc); err != nil {
		t.Fatalf("output %q: %v", text, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		t.Fatalf("output %q is more than one document", text)
	}
	return doc
}

// keysOf lists the members of a JSON object, those of nested objects as parent.child.
func keysOf(t *testing.T, text string, nested ...string) []string {
	t.Helper()
	object := document[map[string]json.RawMessage](t, text)
	keys := slices.Collect(maps.Keys(object))
	for _, name := range nested {
		for child := range document[map[string]json.RawMessage](t, string(object[name])) {
			keys = append(keys, name+"."+child)
		}
	}
	slices.Sort(keys)
	return keys
}

const smallTrace = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,300,2000\n2023-11-16 18:17:05.0319600,1,1\n"

// TestTheWholeLine goes through every command on one system: reserve, spend, settle, record, advise, check.
func TestTheWholeLine(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	i.emptyViews()
	i.secondUpIsRefused()
	i.oneReservation()
	i.refusals()
	i.operating()
	i.replaying()
	i.advice()
	i.watching()
	i.views()
	i.booksAreRight()
	if status := i.stop(); status != ExitOK {
		t.Errorf("up ended with %d, want %d", status, ExitOK)
	}
	if _, err := datadir.Dir(i.dir).ReadEndpoints(); !os.IsNotExist(err) && err == nil {
		t.Error("endpoints.json is still there after the end")
	}
	again := up(t, i.dir)
	if doc := ask[verifyDocument](again, "verify"); !doc.OK {
		t.Errorf("after a restart: %+v", doc)
	}
}

// emptyViews asks for everything before anything has happened: nothing divides by zero.
func (i *instance) emptyViews() {
	i.t.Helper()
	for _, command := range []string{"status", "history", "forecast", "suggest", "list", "accounts", "verify"} {
		for _, text := range []string{i.do(ExitOK, command), i.do(ExitOK, command, "--json")} {
			if strings.Contains(text, "NaN") || strings.Contains(text, "null") || text == "" {
				i.t.Errorf("bursar %s on empty data: %q", command, text)
			}
		}
	}
	status := ask[statusDocument](i, "status")
	if status.Workspace != "default" || len(status.Accounts) == 0 || len(status.Warnings) != 0 {
		i.t.Errorf("status of an empty system: %+v", status)
	}
}

func (i *instance) secondUpIsRefused() {
	i.t.Helper()
	got := bursar(i.t, i.env, "up", "--nats-port", "0", "--clickhouse-port", "0", "--page-listen", "127.0.0.1:0")
	if got.status != ExitFailure || !strings.Contains(got.stderr, "choose another --data-dir") {
		i.t.Errorf("a second up: status %d, %q", got.status, got.stderr)
	}
	if _, err := datadir.Dir(i.dir).ReadEndpoints(); err != nil {
		i.t.Errorf("the second up took the endpoints away: %v", err)
	}
}

func (i *instance) oneReservation() {
	i.t.Helper()
	estimate := ask[wire.EstimateReply](i, "estimate", "--task", "code_review", "--files", "20", "--model", "claude-sonnet-5")
	if estimate.TotalTokens != 16_000 {
		i.t.Errorf("estimate %+v, want 16,000 tokens", estimate)
	}
	fits(i.t, i.do(ExitOK, "estimate", "--task", "code_review"))
	granted := ask[wire.ReservationReply](i, "reserve", "--agent", "a1", "--provider", "claude", "--model", "claude-sonnet-5",
		"--estimate", "--task", "code_review", "--files", "20", "--cache-read", "4000")
	id := granted.ReservationID
	if totalTokens(granted.Granted.Tokens) != 20_000 {
		i.t.Errorf("granted %+v, want 20,000 tokens", granted.Granted)
	}
	reported := ask[wire.ReservationReply](i, "report", id, "--agent", "a1", "--input", "100", "--output", "50", "--call-id", "c1")
	again := ask[wire.ReservationReply](i, "report", id, "--agent", "a1", "--input", "100", "--output", "50", "--call-id", "c1")
	if totalTokens(reported.Used.Tokens) != 150 || totalTokens(again.Used.Tokens) != 150 {
		i.t.Errorf("used %+v, then %+v; the same call counts once", reported.Used, again.Used)
	}
	if open := ask[wire.ReservationsReply](i, "list", "--agent", "a1"); len(open.Reservations) != 1 || open.Reservations[0].UsedPercent == nil {
		i.t.Errorf("list %+v, want the one reservation with its use", open)
	}
	extended := ask[wire.ReservationReply](i, "extend", id, "--agent", "a1", "--output", "1000")
	if totalTokens(extended.Granted.Tokens) != 21_000 {
		i.t.Errorf("extended to %+v, want 21,000 tokens", extended.Granted)
	}
	settled := ask[wire.ReservationReply](i, "settle", id, "--agent", "a1", "--output", "850", "--call-id", "c2")
	if settled.Outcome != "settled" || totalTokens(settled.Returned.Tokens) != 20_000 {
		i.t.Errorf("settled %+v, want 20,000 tokens back", settled)
	}
	i.explained(id)
	other := ask[wire.ReservationReply](i, "reserve", "--agent", "a1", "--provider", "claude", "--model", "claude-sonnet-5", "--output", "10")
	if released := ask[wire.ReservationReply](i, "release", other.ReservationID, "--agent", "a1"); released.Outcome != "released" {
		i.t.Errorf("released %+v", released)
	}
}

// refusals checks the exit statuses of refusals, and that what they recorded they say.
func (i *instance) refusals() {
	i.t.Helper()
	never := []string{"reserve", "--account", "claude-max", "--model", "claude-sonnet-5", "--output", "999000000"}
	if got := document[failure](i.t, i.do(ExitFailure, append(never, "--json")...)); got.Error.Code != "insufficient_quota" || got.Error.Retryable {
		i.t.Errorf("more than the whole window: %+v", got.Error)
	}
	refused := document[failure](i.t, i.do(ExitFailure, append(never, "--json")...))
	if told := ask[story.Story](i, "explain", refused.RequestID); told.Verdict != "refused" {
		i.t.Errorf("the refusal %+v is explained as %+v", refused, told)
	}
	if got := bursar(i.t, i.env, never...); !strings.Contains(got.stderr, "why bursar explain ") || !strings.Contains(got.stderr, "999,000,000 were asked for") {
		i.t.Errorf("a refusal tells %q", got.stderr)
	}
	i.explainedRefusal()
	unknown := []string{"reserve", "--provider", "nobody", "--model", "m", "--output", "1", "--json"}
	if got := document[failure](i.t, i.do(ExitFailure, unknown...)); got.Error.Code != "provider_not_supported" {
		i.t.Errorf("an unknown provider: %+v", got.Error)
	}
	misspelt := []string{"reserve", "--account", "claude-max", "--accept-provider", "opneai", "--model", "claude-haiku-4-5", "--output", "1", "--json"}
	if got := document[failure](i.t, i.do(ExitFailure, misspelt...)); got.Error.Code != "provider_not_supported" || got.Error.Details.Provider != "opneai" {
		i.t.Errorf("an unknown provider that would do: %+v", got.Error)
	}
	most := ask[wire.ReservationReply](i, "reserve", "--account", "claude-max", "--model", "claude-haiku-4-5", "--output", "9990000", "--priority", "high")
	got := document[failure](i.t, i.do(ExitTryLater, "reserve", "--account", "claude-max", "--model", "claude-haiku-4-5", "--output", "200000", "--json"))
	if !got.Error.Retryable || got.Error.RetryAfterMS == 0 || got.Error.Details.LimitID != "claude-max/session" {
		i.t.Errorf("no quota now: %+v", got.Error)
	}
	if status := ask[statusDocument](i, "status"); len(status.Warnings) == 0 || status.Warnings[0].Level != levelLow {
		i.t.Errorf("warnings %+v, want that the session is low", status.Warnings)
	}
	i.do(ExitOK, "revoke", most.ReservationID, "--reason", "test")
	over := ask[wire.ReservationReply](i, "reserve", "--provider", "claude", "--model", "claude-haiku-4-5", "--output", "10")
	if got := document[failure](i.t, i.do(ExitFailure, "settle", over.ReservationID, "--output", "25", "--json")); got.Error.Code != "allocation_exceeded" || !got.Error.Recorded {
		i.t.Errorf("more than reserved: %+v", got.Error)
	}
}

func (i *instance) operating() {
	i.t.Helper()
	i.do(ExitOK, "hold", "account", "claude-max", "--reason", "test")
	for _, command := range []string{"status", "accounts"} {
		if got := i.do(ExitOK, command); !strings.Contains(got, "held back: account claude-max") {
			i.t.Errorf("%s does not show the hold:\n%s", command, got)
		}
	}
	i.do(ExitFailure, "reserve", "--account", "claude-max", "--model", "claude-haiku-4-5", "--output", "1")
	i.do(ExitOK, "resume", "account", "claude-max")
	if got := i.do(ExitOK, "reserve", "--account", "claude-max", "--model", "claude-haiku-4-5", "--output", "1", "--lease", "10m"); !strings.Contains(got, "  expires     in 10m, ") {
		i.t.Errorf("what was granted for ten minutes is shown as\n%s", got)
	}

	faulty := filepath.Join(i.t.TempDir(), "faulty.yaml")
	i.write(faulty, "version: 1\nteams: [a]\naccounts:\n  - {id: x, provider: nobody}\n")
	if doc := document[checkDocument](i.t, i.do(ExitFailure, "apply", "-f", faulty, "--json")); doc.OK || len(doc.Faults) == 0 || doc.Faults[0].Line == 0 {
		i.t.Errorf("faults %+v, want them with their lines", doc)
	}
	good := filepath.Join(i.t.TempDir(), "good.yaml")
	i.write(good, strings.Replace(string(defaultConfig()), "principals:\n", "principals:\n  - {name: newcomer, team: research}\n", 1))
	i.do(ExitOK, "apply", "-f", good, "--check")
	if reply := ask[wire.ApplyReply](i, "apply", "-f", good); reply.ConfigVersion != 2 {
		i.t.Errorf("applied as version %d, want 2", reply.ConfigVersion)
	}
	i.do(ExitFailure, "apply", "-f", good, "--if-version", "1")
	await(i.t, "the new principal to be let in", func() bool {
		return bursar(i.t, i.env, "status", "--principal", "newcomer", "--agent", "n1", "--json").status == ExitOK
	})
}

func (i *instance) write(name, text string) {
	i.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// await polls until a condition holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (i *instance) replaying() {
	i.t.Helper()
	file := filepath.Join(i.t.TempDir(), "trace.csv")
	i.write(file, smallTrace)
	text := i.do(ExitOK, "replay", "--format", "azure", "--agents", "2", "--json", file)
	want := []string{"denied", "duration_s", "extended", "granted", "granted_by_queue", "latency_ms", "latency_ms.p50", "latency_ms.p99", "overrun_tokens", "past_calls", "queued", "requests",
		"reserved_tokens", "returned_tokens", "settled", "shrunk", "used_tokens"}
	if got := keysOf(i.t, text, "latency_ms"); !slices.Equal(got, want) {
		i.t.Errorf("the summary of a replay has %q, want %q", got, want)
	}
	s := document[replay.Summary](i.t, text)
	if s.Requests != 3 || s.Granted != 3 || s.Settled != 3 || s.UsedTokens != 7120 || s.ReservedTokens+s.OverrunTokens != s.UsedTokens+s.ReturnedTokens {
		i.t.Errorf("summary %+v", s)
	}
	demo := ask[replay.Summary](i, "replay", "--demo", "--limit", "60", "--seed", "3")
	if demo.Granted == 0 || demo.Requests != 60 {
		i.t.Errorf("demo %+v", demo)
	}
}

func (i *instance) watching() {
	i.t.Helper()
	lines := strings.Split(strings.TrimSpace(i.do(ExitOK, "watch", "--since", "1h", "--type", "reservation", "--count", "5", "--json")), "\n")
	if len(lines) != 5 {
		i.t.Fatalf("watch wrote %d lines, want 5", len(lines))
	}
	for _, line := range lines {
		if event, err := wire.DecodeEvent([]byte(line)); err != nil || !strings.HasPrefix(event.Kind(), "reservation.") {
			i.t.Errorf("event %q: %v", line, err)
		}
	}
	if got := i.do(ExitOK, "watch", "--since", "1h", "--agent", "a1", "--count", "2"); !strings.Contains(got, "a1") {
		i.t.Errorf("watch of one agent: %q", got)
	}
}

func (i *instance) views() {
	i.t.Helper()
	await(i.t, "the history to have the replay", func() bool {
		return ask[historyDocument](i, "history", "1h").Summary.Totals.TotalTokens >= 7120+1000
	})
	if doc := ask[historyDocument](i, "history", "1h"); doc.Summary.From != doc.History.From || doc.Summary.To != doc.History.To {
		i.t.Errorf("the parts of a history are of %v to %v and of %v to %v", doc.Summary.From.Time(), doc.Summary.To.Time(), doc.History.From.Time(), doc.History.To.Time())
	}
	for _, line := range strings.Split(i.do(ExitOK, "status", "--all")+i.do(ExitOK, "history")+i.do(ExitOK, "forecast", "--backtest")+i.do(ExitOK, "suggest")+i.do(ExitOK, "list", "--closed")+
		i.do(ExitOK, "accounts")+i.do(ExitOK, "watch", "--since", "1h", "--count", "100")+i.do(ExitOK, "replay", "--demo", "--limit", "20"), "\n") {
		if n := len([]rune(line)); n > 80 {
			i.t.Errorf("a line of %d columns: %q", n, line)
		}
	}
}

func (i *instance) booksAreRight() {
	i.t.Helper()
	text := i.do(ExitOK, "verify", "--json")
	want := []string{"clickhouse", "clickhouse.duplicates", "clickhouse.events", "clickhouse.missing", "clickhouse.sums_equal",
		"commits", "ok", "reservations", "violations"}
	if got := keysOf(i.t, text, "clickhouse"); !slices.Equal(got, want) {
		i.t.Errorf("verify has %q, want %q", got, want)
	}
	doc := document[verifyDocument](i.t, text)
	if !doc.OK || doc.Commits == 0 || doc.Reservations == 0 || doc.ClickHouse.Events == 0 {
		i.t.Errorf("verify: %s", fmt.Sprintf("%+v", doc))
	}
}

// TestPortsInUse wants each error to name the flag that helps.
func TestPortsInUse(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() }) // the subtests end later than this function
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{"--nats-port": "0", "--clickhouse-port": "0", "--metrics-port": "0"}
	for flag := range ports {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			args := []string{"up", "--data-dir", t.TempDir(), "--sync", "2m", "--page-listen", "off"}
			for other, free := range ports {
				if other != flag {
					args = append(args, other, free)
				}
			}
			got := bursar(t, nil, append(args, flag, port)...)
			if got.status != ExitFailure || !strings.Contains(got.stderr, flag+" 0") || !strings.Contains(got.stderr, "port "+port+" ") {
				t.Errorf("status %d, %q; want a hint at %s 0", got.status, got.stderr, flag)
			}
		})
	}
}
