package chembed

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// gateHeader carries the secret without which the engine answers nothing but pings.
const gateHeader = "X-Bursar-Gate"

const (
	// maxHeaderBytes bounds a request's header; queries travel in the body.
	maxHeaderBytes = 1 << 20
	// headerTimeout bounds how long a client may take to send its header.
	headerTimeout = 10 * time.Second
	// idleConnections is how many connections to the engine are kept for reuse.
	idleConnections = 64
	// idleTimeout is how long such a connection is kept. It is shorter than the engine's keep_alive_timeout in
	// files/config.xml, so that a request is never sent on a connection that the engine is closing: a POST is not sent again.
	idleTimeout = 10 * time.Second
)

// newProxy returns the server that clients talk to. It exists for three reasons: the engine aborts
// on some malformed requests, which end here; the engine's port changes when it is started again,
// and the proxy's does not; and the engine's passwordless user is kept out.
func newProxy(s *Server) *http.Server {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DisableCompression = true
	transport.MaxIdleConnsPerHost = idleConnections
	transport.IdleConnTimeout = idleTimeout
	reverse := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", loopback, s.port.Load())})
			r.Out.Header.Set(gateHeader, s.gate)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			unavailable(w, http.StatusBadGateway, "ClickHouse broke off: "+err.Error())
		},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.port.Load() == 0:
			unavailable(w, http.StatusServiceUnavailable, "ClickHouse is starting")
		case r.URL.Path != "/ping" && !namesUser(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="ClickHouse"`)
			http.Error(w, fmt.Sprintf("log in as %s or %s", UserAnalyst, UserWriter), http.StatusUnauthorized)
		default:
			letBodyOutliveAnswer(w)
			defer func() { _ = r.Body.Close() }()
			reverse.ServeHTTP(w, r)
		}
	})
	server := &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(transport.CloseIdleConnections)
	return server
}

// letBodyOutliveAnswer keeps the server from closing a request's body at the first byte of the answer, as it does by itself.
// The transport may read that body still: it looks for a surplus byte after the last one, and on a busy machine the engine has
// answered by then. A failed read makes the transport break off the answer (golang/go#40747). The handler has to close the body
// in return, or the server panics over what is left of it (golang/go#68560).
func letBodyOutliveAnswer(w http.ResponseWriter) {
	// It fails for writers without this ability only; the server's own has it.
	_ = http.NewResponseController(w).EnableFullDuplex()
}

// namesUser reports whether the request names a user, and every place where it could name one names
// one that has a password.
func namesUser(r *http.Request) bool {
	var names []string
	if user, _, ok := r.BasicAuth(); ok {
		names = append(names, user)
	}
	names = append(names, r.Header.Values("X-ClickHouse-User")...)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return false
	}
	names = append(names, query["user"]...)
	for _, name := range names {
		if name != UserWriter && name != UserAnalyst {
			return false
		}
	}
	return len(names) > 0
}

func unavailable(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, message, status)
}
