package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the HTTP server.
const (
	// CheckTimeout is how long all readiness checks of one request may take together.
	CheckTimeout = 2 * time.Second

	readTimeout   = 5 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeaderSize = 16 << 10 // bytes
)

// Server serves the telemetry of one service over HTTP.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen binds addr (host:port; port 0 takes any free one) without serving yet, so that an address
// in use is known at start. Call [Server.Serve] next.
func (t *Telemetry) Listen(ctx context.Context, addr string) (*Server, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w", addr, err)
	}
	return &Server{listener: listener, http: &http.Server{
		Handler:           t.Handler(),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderSize,
		ErrorLog:          slog.NewLogLogger(t.log.Handler(), slog.LevelDebug),
	}}, nil
}

// URL is where the server is reached, without a trailing slash.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Serve answers requests until [Server.Close]; it then returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// Close stops serving. Requests under way end first, within ctx. The listener is closed even when
// Serve was never called.
func (s *Server) Close(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("shut the metrics server down: %w", err), s.http.Close())
	}
	// Shutdown knows the listener only once Serve ran; closing twice is harmless.
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close the metrics listener: %w", err)
	}
	return nil
}

// Handler gives the three pages, for a service that serves them itself and for tests.
func (t *Telemetry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(t.log.Handler(), slog.LevelError),
		Timeout:  writeTimeout,
	}))
	mux.HandleFunc("GET /healthz", t.healthz)
	mux.HandleFunc("GET /readyz", t.readyz)
	return mux
}

func (t *Telemetry) healthz(w http.ResponseWriter, _ *http.Request) {
	t.writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the body of /readyz. A check that passes has the value "ok".
type readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

func (t *Telemetry) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), CheckTimeout)
	defer cancel()
	results := t.ask(ctx)
	body := readiness{Ready: len(results) > 0, Checks: map[string]string{}}
	for _, res := range results {
		body.Checks[res.name] = "ok"
		if res.fault != nil {
			body.Ready = false
			body.Checks[res.name] = res.fault.Error()
		}
	}
	status := http.StatusOK
	if !body.Ready {
		status = http.StatusServiceUnavailable
	}
	t.writeJSON(w, status, body)
}

func (t *Telemetry) writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		t.log.Debug("the asker of a health page went away", "error", err)
	}
}
