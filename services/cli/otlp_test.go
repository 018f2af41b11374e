package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/services/cli/internal/importer"
	"github.com/bursarhq/bursar/services/cli/internal/otlp"
)

// TestTelemetryAndTranscriptOfTheSameCallsCountOnce sends the events of calls to a receiver, and then imports the
// transcript of the same calls, which knows more of one.
func TestTelemetryAndTranscriptOfTheSameCallsCountOnce(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- Run(ctx, Process{
			Args:  []string{"otlp", "--claude-account", "claude-max", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--json"},
			Stdin: strings.NewReader(""), Stdout: in, Stderr: t.Output(), Version: "test", Getenv: func(name string) string { return i.env[name] },
		})
		_ = in.Close()
	}()
	lines := bufio.NewReader(out)
	read := func(doc any) {
		t.Helper()
		line, err := lines.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, doc)
		}
		if err != nil {
			t.Fatalf("otlp wrote %q: %v", line, err)
		}
	}
	var ready receivingEvent
	read(&ready)

	const calls = 300 // more than one report
	now := time.Now().Add(-time.Minute).UTC()
	var events, transcript strings.Builder
	for n := range calls {
		if n > 0 {
			events.WriteByte(',')
		}
		fmt.Fprintf(&events, `{"timeUnixNano":"%d","attributes":[{"key":"event.name","value":{"stringValue":"claude_code.api_request"}},`+
			`{"key":"request_id","value":{"stringValue":"req_%d"}},{"key":"model","value":{"stringValue":"claude-sonnet-4-5"}},`+
			`{"key":"input_tokens","value":{"intValue":"100"}},{"key":"output_tokens","value":{"intValue":"50"}},{"key":"cache_creation_tokens","value":{"intValue":"8"}}]}`,
			now.UnixNano(), n)
		fmt.Fprintf(&transcript, `{"type":"assistant","timestamp":%q,"sessionId":"s1","requestId":"req_%d","message":{"id":"msg_%d","model":"claude-sonnet-4-5",`+
			`"usage":{"input_tokens":100,"output_tokens":%d,"cache_creation_input_tokens":8,"cache_creation":{"ephemeral_1h_input_tokens":8}}}}`+"\n",
			now.Format(time.RFC3339), n, n, 50+n/(calls-1))
	}
	body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + events.String() + `]}]}]}`
	for range 2 { // an exporter repeats what it got no answer to
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ready.HTTP+"/v1/logs", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := reply.Body.Close(); err != nil || reply.StatusCode != http.StatusOK {
			t.Fatalf("the receiver answers %s (%v)", reply.Status, err)
		}
	}
	file := filepath.Join(t.TempDir(), "s1.jsonl")
	if err := os.WriteFile(file, []byte(transcript.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ask[importer.Summary](i, "import", "claude-code", "--account", "claude-max", "--memory", filepath.Join(t.TempDir(), "m.db"), file)
	if doc := ask[verifyDocument](i, "verify"); !doc.OK {
		t.Errorf("verify: %+v", doc)
	}
	if total := ask[historyDocument](i, "history").Summary.Totals; total.Requests != calls || total.TotalTokens != calls*158+1 {
		t.Errorf("%d requests and %d tokens are in the books, want %d and %d", total.Requests, total.TotalTokens, calls, calls*158+1)
	}
	cancel()
	var tally otlp.Tally
	read(&tally)
	if want := (otlp.Tally{Calls: 2 * calls, Tokens: 2 * calls * 158}); tally != want {
		t.Errorf("got %+v, want %+v", tally, want)
	}
	if got := <-status; got != ExitOK {
		t.Errorf("otlp ended with status %d", got)
	}
}

func TestOTLPRefusals(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no account":      {"otlp"},
		"another machine": {"otlp", "--claude-account", "a", "--http", "0.0.0.0:4318"},
		"no address":      {"otlp", "--claude-account", "a", "--grpc", "4317"},
	} {
		if got := bursar(t, nil, args...); got.status != ExitUsage || !strings.Contains(got.stderr, "--") {
			t.Errorf("%s: status %d, %s", name, got.status, got.stderr)
		}
	}
}
