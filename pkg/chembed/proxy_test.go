package chembed

import (
	"encoding/xml"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// TestTheProxyLetsGoFirst of an idle connection to the engine, since a request that meets the engine's closing it is lost.
func TestTheProxyLetsGoFirst(t *testing.T) {
	t.Parallel()
	raw, err := files.ReadFile("files/config.xml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		KeepAlive int `xml:"keep_alive_timeout"`
	}
	if err := xml.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	if kept := time.Duration(config.KeepAlive) * time.Second; kept < 2*idleTimeout {
		t.Errorf("the engine keeps a connection for %s, the proxy for %s", kept, idleTimeout)
	}
}

// TestAnswerOutlivesBody: an answer that begins before the last byte of the request arrives whole.
func TestAnswerOutlivesBody(t *testing.T) {
	t.Parallel()
	const begin, rest, end = "half", "of a request", "; the end"
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, begin)
		_ = http.NewResponseController(w).Flush()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the request broke off: %v", err)
		}
		_, _ = w.Write(body)
		_, _ = io.WriteString(w, end)
	}))
	defer engine.Close()
	address, err := url.Parse(engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(address.Port(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	s.port.Store(port)
	proxy := httptest.NewServer(newProxy(s).Handler)
	defer proxy.Close()

	request, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, proxy.URL, request)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(len(rest))
	req.SetBasicAuth(UserWriter, "")
	go func() { _, _ = io.WriteString(send, rest[:1]) }()
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	// The body's end comes after the proxy has passed on the head of the answer.
	if _, err := io.WriteString(send, rest[1:]); err != nil {
		t.Fatal(err)
	}
	_ = send.Close()
	if got, err := io.ReadAll(answer.Body); err != nil || string(got) != begin+rest+end {
		t.Errorf("answered %q, %v", got, err)
	}
}
