package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

func TestParseHeaders(t *testing.T) {
	t.Parallel()
	status, h := parseHeaders([]byte("HTTP/1.1 302 Found\r\nretry-after: 1\r\n\r\nHTTP/2 429\r\nx-a:  b: c \r\nno header\r\n"))
	if status != 429 || h.Get("X-A") != "b: c" || h.Get("Retry-After") != "" {
		t.Errorf("status %d, headers %v", status, h)
	}
}

func TestResetTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"2h15m": now.Add(135 * time.Minute), "2026-06-01T15:00:00Z": now.Add(3 * time.Hour)} {
		if at, err := resetTime(text, now); err != nil || !at.Equal(want) {
			t.Errorf("%s is %s, %v", text, at, err)
		}
	}
	for _, text := range []string{"-1h", "soon", "0s"} {
		if _, err := resetTime(text, now); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// TestObserveUsage: what is missing is said before anything is asked.
func TestObserveUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                       "--account",
		"--account a":                            "in one way",
		"--account a --window w":                 "at least one of --used",
		"--account a --window w --percent NaN":   "from 0 to 1000",
		"--account a --window w --headers h.txt": "in one way",
		"--account a --headers nowhere.txt":      "nowhere.txt",
		"--account a --status-line observe.go":   "is not a JSON object",
		"--account a --body observe.go":          "--status",
		"--account a --window w --percent much":  `--percent "much" is not a number`,
	} {
		got := bursar(t, nil, append([]string{"observe"}, strings.Fields(args)...)...)
		if got.status != ExitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("observe %s: status %d, %q; want %q", args, got.status, got.stderr, want)
		}
	}
}

// TestObserve hands in headers and a percentage as a person does.
func TestObserve(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	reset := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	headers := filepath.Join(t.TempDir(), "headers.txt")
	i.write(headers, "HTTP/2 200\nanthropic-ratelimit-unified-5h-utilization: 0.12\nanthropic-ratelimit-unified-5h-reset: "+reset+
		"\nanthropic-ratelimit-unified-30d-utilization: 0.5\nretry-after: soon\n")
	doc := ask[observeView](i, "observe", "--account", demoAccount, "--headers", headers)
	if len(doc.Windows) != 2 || len(doc.Problems) != 1 || doc.Problems[0].Field != "retry-after" {
		t.Fatalf("headers: %+v", doc)
	}
	if unknown, session := doc.Windows[0].Reply, doc.Windows[1].Reply; !unknown.Unknown || !session.Effective || session.LimitID == "" {
		t.Errorf("replies %+v", doc.Windows)
	}
	status := filepath.Join(t.TempDir(), "status.json")
	i.write(status, `{"model":{"id":"claude-opus-5"},"rate_limits":{"five_hour":{"used_percentage":12.5},"seven_day":{"used_percentage":"many"}}}`)
	doc = ask[observeView](i, "observe", "--account", demoAccount, "--status-line", status)
	if len(doc.Windows) != 1 || len(doc.Problems) != 1 || doc.Windows[0].Said.UsedPercent.String() != "12.5" || !doc.Windows[0].Reply.Recorded {
		t.Errorf("a status line: %+v", doc)
	}
	// One window that cannot be taken does not keep the other back.
	i.write(headers, "anthropic-ratelimit-unified-5h-utilization: 0.13\nanthropic-ratelimit-unified-7d-reset: 2031-01-01T00:00:00Z\n")
	if text := i.do(ExitFailure, "observe", "--account", demoAccount, "--headers", headers); !strings.Contains(text, "counts") || !strings.Contains(text, "not taken") {
		t.Errorf("half of it: %q", text)
	}
	if text := i.do(ExitOK, "observe", "--account", demoAccount, "--window", "session", "--percent", "13"); !strings.Contains(text, "counts") {
		t.Errorf("by hand: %q", text)
	}
}

// TestWhatAnObservationDid: what is told to a person of each kind of reply.
func TestWhatAnObservationDid(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	past, open := wireTime(now.Add(-300*time.Hour)), wireTime(now.Add(10*time.Second))
	for name, c := range map[string]struct {
		request wire.ObserveRequest
		reply   wire.ObserveReply
		want    string
		not     string
	}{
		"a reset that is past": {
			wire.ObserveRequest{Raw: &wire.RawObservation{}},
			wire.ObserveReply{Windows: []wire.ObservedWindow{{Window: "session", LimitID: "a/session", Said: wire.Observation{ResetsAt: past}, Message: "it is older"}}},
			"session: it is older", " -",
		},
		"a window that closes": {wire.ObserveRequest{}, wire.ObserveReply{Recorded: true, Effective: true, ClosedUntil: open}, "closed, opens in 10s, ", "until in"},
		"what no wait cures":   {wire.ObserveRequest{Raw: &wire.RawObservation{}}, wire.ObserveReply{Terminal: true, Reason: "insufficient_quota"}, "Refused by the provider (insufficient_quota), and no wait cures it", "understood"},
		"an unconfigured one":  {wire.ObserveRequest{}, wire.ObserveReply{Recorded: true, Unknown: true, Message: "it has many"}, "no limit of this name", "it has many"},
		"a text in place of a number": {
			wire.ObserveRequest{Raw: &wire.RawObservation{}}, wire.ObserveReply{Problems: []wire.ObserveProblem{{Field: "used_percent", Value: `"much"`, Want: "a number"}}},
			`Not understood: used_percent "much"; wanted is a number.`, `\"`,
		},
		"nothing": {wire.ObserveRequest{Raw: &wire.RawObservation{}}, wire.ObserveReply{}, "Nothing that tells of a window was understood.", "cures"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			command := &observeCommand{app: &app{screen: screen.New(&out, narrow)}}
			command.showObserved(observed(&c.request, &c.reply), now)
			text := strings.Join(strings.Fields(out.String()), " ")
			if !strings.Contains(text, c.want) || strings.Contains(text, c.not) {
				t.Errorf("says %q, want %q and not %q", text, c.want, c.not)
			}
		})
	}
}

// demoAccount is the subscription of the built-in configuration.
const demoAccount = "claude-max"
