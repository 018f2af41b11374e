package web

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/page/internal/live"
	"github.com/bursarhq/bursar/services/page/internal/usage"
)

func options(board *live.Board) Options {
	return Options{
		Sources: Sources{
			Board:  board,
			State:  func(context.Context) (*live.State, error) { return &live.State{Workspace: "main"}, nil },
			Advice: func(context.Context) ([]byte, error) { return []byte(`{"suggestions":[]}`), nil },
			Usage: func(_ context.Context, q usage.Question) (*usage.Answer, error) {
				if err := q.Validate(); err != nil {
					return nil, err
				}
				return nil, errors.New("a password is in this error")
			},
			Forecast: func(_ context.Context, zone string) (*wire.ForecastReply, error) {
				return &wire.ForecastReply{Zone: zone}, nil
			},
		},
		Version: "1.2.3", Host: "127.0.0.1", Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
}

func handler(t *testing.T, o Options) http.Handler {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Handler()
}

func get(h http.Handler, url string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, url, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryAnswerIsHardened(t *testing.T) {
	t.Parallel()
	h := handler(t, options(live.NewBoard()))
	for _, path := range []string{"/", "/assets/app.js", "/api/state", "/api/usage", "/nowhere"} {
		w := get(h, "http://localhost:1"+path, nil)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if !strings.Contains(w.Header().Get(name), want) {
				t.Errorf("%s: %s is %q, want %q in it", path, name, w.Header().Get(name), want)
			}
		}
		if strings.Contains(w.Header().Get("Content-Security-Policy"), "unsafe") || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v let others in", path, w.Header())
		}
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	h := handler(t, options(live.NewBoard()))
	for host, want := range map[string]int{
		"localhost:8420": http.StatusOK, "127.0.0.1:8420": http.StatusOK, "[::1]:8420": http.StatusOK, "LOCALHOST": http.StatusOK, "127.0.0.1": http.StatusOK,
		"evil.example:8420": http.StatusMisdirectedRequest, "192.168.1.2:8420": http.StatusMisdirectedRequest, "localhost.evil.example": http.StatusMisdirectedRequest,
		"": http.StatusMisdirectedRequest, "127.0.0.1.evil.example:8420": http.StatusMisdirectedRequest,
	} {
		if w := get(h, "http://x/api/state", func(r *http.Request) { r.Host = host }); w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}

func TestNothingIsChangedByARequest(t *testing.T) {
	t.Parallel()
	h := handler(t, options(live.NewBoard()))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		for _, path := range []string{"/", "/api/state", "/api/usage", "/api/events"} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, nil))
			if w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want %d", method, path, w.Code, http.StatusMethodNotAllowed)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	h := handler(t, options(live.NewBoard()))
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"/api/state", http.StatusOK, `"workspace":"main"`},
		{"/api/suggestions", http.StatusOK, `{"suggestions":[]}`},
		{"/api/forecast?zone=UTC", http.StatusOK, `"zone":"UTC"`},
		{"/api/usage?timeframe=1h&by=team", http.StatusBadRequest, `"code":"invalid"`},
		{"/api/usage?timeframe=24h&by=team", http.StatusBadGateway, `"code":"unavailable"`},
	}
	for _, tt := range tests {
		w := get(h, "http://localhost"+tt.path, nil)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %d with %s", tt.path, w.Code, w.Body, tt.status, tt.want)
		}
		if strings.Contains(w.Body.String(), "password") {
			t.Errorf("%s tells what went wrong inside: %s", tt.path, w.Body)
		}
	}
}

func TestFilesAreServedWithTheirTypesAndAskedForOnce(t *testing.T) {
	t.Parallel()
	h := handler(t, options(live.NewBoard()))
	for path, kind := range map[string]string{
		"/": "text/html", "/assets/app.js": "text/javascript", "/assets/page.css": "text/css", "/assets/icon.svg": "image/svg+xml",
		"/assets/vendor/uplot/uPlot.esm.js": "text/javascript",
	} {
		w := get(h, "http://localhost"+path, nil)
		if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) {
			t.Errorf("%s: %d as %s, want %s", path, w.Code, w.Header().Get("Content-Type"), kind)
		}
		again := get(h, "http://localhost"+path, func(r *http.Request) { r.Header.Set("If-None-Match", w.Header().Get("ETag")) })
		if again.Code != http.StatusNotModified {
			t.Errorf("%s again: %d, want %d", path, again.Code, http.StatusNotModified)
		}
	}
	for _, path := range []string{"/assets/", "/assets/../server.go", "/assets/none.js"} {
		if w := get(h, "http://localhost"+path, nil); w.Code == http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestThePageNeedsNothingFromElsewhere looks for addresses in the files: whatever they name, a browser may try to load.
func TestThePageNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range a.files {
		body := string(file.body)
		if strings.HasPrefix(name, "vendor/") {
			continue
		}
		for _, bad := range []string{"https:", "//cdn", "innerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=\"", "onclick="} {
			if strings.Contains(body, bad) {
				t.Errorf("%s contains %q", name, bad)
			}
		}
		if strings.Contains(strings.ReplaceAll(body, `xmlns="http://www.w3.org/2000/svg"`, ""), "http:") {
			t.Errorf("%s names an address", name)
		}
	}
}

// TestVendoredFilesAreUnchanged holds the chart library to the sums that it was taken with.
func TestVendoredFilesAreUnchanged(t *testing.T) {
	t.Parallel()
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	const folder = "vendor/uplot/"
	listed := 0
	for line := range strings.Lines(string(a.files[folder+"SHA256SUMS"].body)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		listed++
		if got := fmt.Sprintf("%x", sha256.Sum256(a.files[folder+name].body)); got != want {
			t.Errorf("%s has the sum %s, not %s", name, got, want)
		}
	}
	if listed != 3 {
		t.Errorf("%d files are listed, want 3", listed)
	}
}

// message is one server-sent event.
type message struct{ kind, id, data string }

// stream opens a stream and gives a function that reads its next message.
func stream(t *testing.T, url string, lastID string) (next func() message, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return func() (m message) {
		t.Helper()
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				m.kind = value
			case "id":
				m.id = value
			case "data":
				m.data = value
			case "":
				if m.kind != "" {
					return m
				}
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return m
	}, response.Header
}

func TestAStreamTellsWhatChangesAndGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	board := live.NewBoard()
	server := httptest.NewServer(handler(t, options(board)))
	t.Cleanup(server.Close)
	add := func(i int) { board.Add(fmt.Sprintf("l.%d.0", i), json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))) }
	add(1)
	next, header := stream(t, server.URL+"/api/events", "")
	if got := header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	if m := next(); m.kind != "hello" || !strings.Contains(m.data, `"version":"1.2.3"`) {
		t.Errorf("first %+v, want hello", m)
	}
	if m := next(); m.kind != "events" || m.id != "l.1.0" || m.data != `{"events":[{"n":1}],"reset":true}` {
		t.Errorf("then %+v, want the event that was there", m)
	}
	board.SetState([]byte(`{"workspace":"main"}`))
	if m := next(); m.kind != "state" || m.data != `{"workspace":"main"}` {
		t.Errorf("then %+v, want the state", m)
	}
	add(2)
	if m := next(); m.kind != "events" || m.data != `{"events":[{"n":2}]}` {
		t.Errorf("then %+v, want event 2 alone", m)
	}
	add(3)
	for _, way := range []struct{ url, lastID string }{{"/api/events", "l.2.0"}, {"/api/events?after=l.2.0", ""}} {
		resumed, _ := stream(t, server.URL+way.url, way.lastID)
		resumed() // hello
		m := resumed()
		for m.kind == "state" {
			m = resumed()
		}
		if m.data != `{"events":[{"n":3}]}` {
			t.Errorf("resumed by %+v: %+v, want event 3 alone", way, m)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	board := live.NewBoard()
	server := httptest.NewServer(handler(t, options(board)))
	t.Cleanup(server.Close)
	for range maxLookers {
		next, _ := stream(t, server.URL+"/api/events", "")
		next()
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // only makes the message better
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("stream %d: %d %s, want %d", maxLookers+1, response.StatusCode, body, http.StatusServiceUnavailable)
	}
}

func TestErrorsOfTheBrokerKeepTheirCode(t *testing.T) {
	t.Parallel()
	o := options(live.NewBoard())
	o.Usage = func(context.Context, usage.Question) (*usage.Answer, error) {
		return nil, fmt.Errorf("ask for the summary: %w", wire.NewError("invalid", "zone %q is not one", "Moon"))
	}
	w := get(handler(t, o), "http://localhost/api/usage?timeframe=24h&by=team&zone=Moon", nil)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "Moon") {
		t.Errorf("%d %s, want the broker's own words", w.Code, w.Body)
	}
}
