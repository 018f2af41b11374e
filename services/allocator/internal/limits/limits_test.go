package limits

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/quota"
)

const secret = "sk-ant-admin01-secret"

// answer has the shapes of the documentation: groups of models with aliases, groups of other surfaces, types that are no
// limit per minute.
const answer = `{"data":[
 {"type":"rate_limit","group_type":"model_group","models":["claude-opus-5","claude-opus-5-20260701"],"limits":[
  {"type":"requests_per_minute","value":800},{"type":"input_tokens_per_minute","value":1500000},{"type":"output_tokens_per_minute","value":500000}]},
 {"type":"rate_limit","group_type":"batch","models":null,"limits":[{"type":"enqueued_batch_requests","value":100000}]},
 {"type":"rate_limit","group_type":"model_group","models":["claude-unheard-9"],"limits":[{"type":"requests_per_minute","value":7},{"type":"new_type","value":1}]}
],"next_page":null}`

// provider is a local server with the documented shapes.
type provider struct {
	mu     sync.Mutex
	status int
	pages  []string
	asked  []string
	keys   []string
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("anthropic-version"))
	p.keys = append(p.keys, r.Header.Get("x-api-key"))
	if p.status != http.StatusOK {
		if p.status == http.StatusFound {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		http.Error(w, "no", p.status)
		return
	}
	n := 0
	if r.URL.Query().Get("page") != "" {
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &n)
	}
	_, _ = io.WriteString(w, p.pages[n]) // a client that is gone needs none
}

func (p *provider) set(status int, pages ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.pages, p.asked, p.keys = status, pages, nil, nil
}

func (p *provider) questions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

// fakeLedger remembers what was handed in.
type fakeLedger struct {
	view    View
	serving bool
	told    []quota.Observe
	problem string
}

func (f *fakeLedger) Accounts(context.Context) (*View, bool) { return &f.view, f.serving }

func (f *fakeLedger) Observe(_ context.Context, c quota.ObserveAll) (bool, string) {
	if f.problem != "" {
		return false, f.problem
	}
	f.told = append(f.told, c.Said...)
	return true, ""
}

func testConfig(t *testing.T) quota.Config {
	t.Helper()
	c, err := config.Parse("test", []byte(`version: 1
accounts:
  - {id: api, provider: claude, tier: start, limits_source: {type: anthropic_rate_limits, admin_key_env: ADMIN_KEY}}
  - {id: max, provider: claude, tier: max_5x}
`))
	if err != nil {
		t.Fatal(err)
	}
	return c.Quota
}

// watched is a watch of a local provider.
func watched(t *testing.T) (*Watch, *fakeLedger, *provider, *bytes.Buffer) {
	t.Helper()
	p := &provider{status: http.StatusOK, pages: []string{answer}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	f := &fakeLedger{view: View{Config: testConfig(t), Resets: map[string][]time.Time{}}, serving: true}
	var log bytes.Buffer
	w := New(Options{
		Ledger: f, URL: server.URL, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Getenv: func(name string) string { return map[string]string{"ADMIN_KEY": secret}[name] },
	})
	return w, f, p, &log
}

var start = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// TestTold: what the documented answer tells becomes observations of our limits, and of what nobody configured.
func TestTold(t *testing.T) {
	t.Parallel()
	w, f, p, _ := watched(t)
	w.pass(t.Context(), start)
	var lines []string
	for _, o := range f.told {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %d", o.Window, o.Model, *o.Capacity)))
	}
	const want = "api/input_per_minute/opus-5  1500000|api/output_per_minute/opus-5  500000|api/requests_per_minute/opus-5  800|requests_per_minute claude-unheard-9 7"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("told %s", got)
	}
	if len(p.asked) != 1 || p.asked[0] != "GET /v1/organizations/rate_limits 2023-06-01" || p.keys[0] != secret {
		t.Errorf("asked %v", p.asked)
	}
}

// TestWhenItIsAsked: at the start, each hour, before a reset, after a pause when it was away, and at once on a takeover.
func TestWhenItIsAsked(t *testing.T) {
	t.Parallel()
	w, f, p, _ := watched(t)
	at := func(after time.Duration) int {
		before := p.questions()
		w.pass(t.Context(), start.Add(after))
		return p.questions() - before
	}
	expect := func(after time.Duration, want int) {
		t.Helper()
		if got := at(after); got != want {
			t.Errorf("after %s it is asked %d times, want %d", after, got, want)
		}
	}
	expect(0, 1)
	expect(59*time.Minute, 0)
	expect(60*time.Minute, 1)
	f.view.Resets["api"] = []time.Time{start.Add(90 * time.Minute)}
	expect(84*time.Minute, 0)
	expect(85*time.Minute, 1)
	expect(86*time.Minute, 0)
	f.serving = false
	expect(3*time.Hour, 0)
	f.serving = true
	expect(3*time.Hour+time.Second, 1)
	p.set(http.StatusServiceUnavailable)
	expect(5*time.Hour, 1)
	expect(5*time.Hour+20*time.Second, 0) // a pause of 30 to 60 s
	expect(5*time.Hour+time.Minute, 1)
	expect(5*time.Hour+time.Minute+50*time.Second, 0) // of 60 to 120 s
	p.set(http.StatusOK, answer)
	expect(5*time.Hour+3*time.Minute, 1)
	expect(5*time.Hour+4*time.Minute, 0)
	f.view.Config.Accounts[0].LimitsSource = nil
	expect(9*time.Hour, 0)
}

// TestSubscriptionsAreNeverAsked, whatever a configuration that came some other way says.
func TestSubscriptionsAreNeverAsked(t *testing.T) {
	t.Parallel()
	w, f, p, _ := watched(t)
	f.view.Config.Accounts[1].LimitsSource = f.view.Config.Accounts[0].LimitsSource
	f.view.Config.Accounts = f.view.Config.Accounts[1:]
	w.pass(t.Context(), start)
	if n := p.questions(); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// TestAway: whatever is wrong with an answer changes nothing, is logged without the key, and goes along no redirect.
func TestAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"refused": {http.StatusUnauthorized, ""}, "limited": {http.StatusTooManyRequests, ""}, "broken": {http.StatusInternalServerError, ""},
		"redirected": {http.StatusFound, ""}, "no JSON": {http.StatusOK, "<html>"}, "no list": {http.StatusOK, `{"error":"` + secret + `"}`},
		"no limits": {http.StatusOK, `{"data":[]}`}, "endless": {http.StatusOK, `{"data":[],"next_page":"0"}`},
		"too large":    {http.StatusOK, `{"data":[` + strings.Repeat(" ", maxBytes) + `]}`},
		"odd numbers":  {http.StatusOK, `{"data":[{"models":["claude-opus-5"],"limits":[{"type":"requests_per_minute","value":-1},{"type":"requests_per_minute","value":1e300}]}]}`},
		"other fields": {http.StatusOK, `{"data":[{"models":["claude-opus-5"],"limits":[{"type":"requests_per_minute","value":"many"}]}]}`},
	} {
		w, f, p, log := watched(t)
		p.set(c.status, c.body)
		w.pass(t.Context(), start)
		if len(f.told) != 0 || !strings.Contains(log.String(), "the last told limits stand") || strings.Contains(log.String(), secret) {
			t.Errorf("%s: told %v, logged %s", name, f.told, log)
		}
		for _, asked := range p.asked {
			if strings.Contains(asked, "elsewhere") {
				t.Errorf("%s: the key went to %s", name, asked)
			}
		}
	}
}

// TestPages follows the list to its end.
func TestPages(t *testing.T) {
	t.Parallel()
	w, f, p, _ := watched(t)
	p.set(http.StatusOK, `{"data":[{"models":["claude-haiku-4-5"],"limits":[{"type":"requests_per_minute","value":5}]}],"next_page":"1"}`, answer)
	w.pass(t.Context(), start)
	if len(f.told) != 5 || p.questions() != 2 {
		t.Errorf("told %+v in %d pages", f.told, p.questions())
	}
}

// TestNoKey: an empty variable asks nobody.
func TestNoKey(t *testing.T) {
	t.Parallel()
	w, f, p, log := watched(t)
	w.opt.Getenv = func(string) string { return "" }
	w.pass(t.Context(), start)
	if p.questions() != 0 || len(f.told) != 0 || !strings.Contains(log.String(), "ADMIN_KEY") || !strings.Contains(log.String(), errNoKey.Error()) {
		t.Errorf("asked %d times, logged %s", p.questions(), log)
	}
	if _, err := fetch(t.Context(), newClient(), "http://127.0.0.1:1", secret); err == nil || errors.Is(err, errNoKey) || strings.Contains(err.Error(), secret) {
		t.Errorf("nobody there: %v", err)
	}
}

// TestTheStrictestOfSeveral: two groups of the provider that meet in one of ours.
func TestTheStrictestOfSeveral(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	list := observations(&c, "api", []group{
		{[]string{"claude-opus-4-5"}, map[string]int64{"requests_per_minute": 9}}, {[]string{"claude-opus-4-8"}, map[string]int64{"requests_per_minute": 4}},
	}, 1)
	if len(list) != 1 || *list[0].Capacity != 4 || list[0].Window != "api/requests_per_minute/opus-4" {
		t.Errorf("%+v", list)
	}
}
