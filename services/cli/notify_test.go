package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/bursarhq/bursar/pkg/wire"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hookFile starts an endpoint that answers with a status, and writes a file that names it twice: as a program, of which
// more says how it is told, and as a channel. A signature that is there has to be right.
func hookFile(t *testing.T, status int, more string) (file string, told <-chan string) {
	t.Helper()
	verify, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("webhook-signature") != "" {
			err = verify.Verify(body, r.Header)
		}
		if err != nil {
			body = []byte(err.Error())
		}
		out <- r.URL.Path + " " + string(body)
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	file = filepath.Join(t.TempDir(), "endpoints.yaml")
	text := "endpoints:\n  - {name: ops, url: '" + server.URL + "/ops'" + more + "}\n  - {name: chat, format: slack, url: '" + server.URL + "/chat', events: [limit.exhausted]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, out
}

func TestNotifyTriesTheEndpoints(t *testing.T) {
	t.Parallel()
	env := map[string]string{"KEY": hookSecret}
	file, told := hookFile(t, http.StatusOK, ", secret_env: KEY")
	got := bursar(t, env, "notify", file)
	if got.status != ExitOK || strings.Count(got.stdout, "took the message") != 2 {
		t.Errorf("notify: %+v", got)
	}
	for _, want := range []string{`"limit_id":"trial/limit"`, `{"text":"Limit trial/limit is exhausted: 100% are spent (trial)"}`} {
		if body := <-told; !strings.Contains(body, want) {
			t.Errorf("told %s, want %s", body, want)
		}
	}
	got = bursar(t, env, "notify", file, "chat", "--json")
	var results []notifyResult
	if err := json.Unmarshal([]byte(got.stdout), &results); err != nil || len(results) != 1 || !results[0].OK {
		t.Errorf("notify chat: %+v, %v", got, err)
	}
	refusing, _ := hookFile(t, http.StatusForbidden, "")
	if got := bursar(t, env, "notify", refusing); got.status != ExitFailure || strings.Count(got.stdout, "answered 403") != 2 {
		t.Errorf("notify of who refuses: %+v", got)
	}
	if got := bursar(t, env, "notify", file, "pager"); got.status != ExitUsage || !strings.Contains(got.stderr, "ops, chat") {
		t.Errorf("notify of nobody: %+v", got)
	}
	if got := bursar(t, nil, "notify", file); got.status != ExitFailure || !strings.Contains(got.stderr, "KEY") {
		t.Errorf("notify without the secret: %+v", got)
	}
}

// TestUpTellsWebhooks spends a limit to its end and waits for what the endpoints are told of it.
func TestUpTellsWebhooks(t *testing.T) {
	t.Parallel()
	file, told := hookFile(t, http.StatusNoContent, "")
	i := up(t, t.TempDir(), "--notify", file)
	granted := ask[wire.ReservationReply](i, "reserve", "--account", "claude-max", "--model", "claude-haiku-4-5", "--output", "500")
	i.do(ExitFailure, "settle", granted.ReservationID, "--output", "20000000") // exceeds the reservation, and is recorded
	timeout := time.After(time.Minute)
	for exhausted := false; !exhausted; {
		select {
		case body := <-told:
			exhausted = strings.HasPrefix(body, "/chat ") && strings.Contains(body, "is exhausted")
		case <-timeout:
			t.Fatal("nobody was told that the limit is exhausted")
		}
	}
}
