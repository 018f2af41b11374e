package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/page/internal/live"
	"github.com/bursarhq/bursar/services/page/internal/usage"
)

// Limits of the HTTP server.
const (
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	answerTimeout     = 45 * time.Second // a month of usage takes analytics seconds, a restart of it more
	writeTimeout      = 10 * time.Second // of one answer or message to a browser that takes nothing
	shutdownTimeout   = 5 * time.Second
)

// Sources answer what the page asks.
type Sources struct {
	Board  *live.Board
	State  func(ctx context.Context) (*live.State, error)
	Advice func(ctx context.Context) ([]byte, error) // as JSON
	Usage  func(ctx context.Context, q usage.Question) (*usage.Answer, error)
}

// Options configure a server.
type Options struct {
	Sources
	// Version of the build, which the page shows.
	Version string
	// Host is what the server listens on; requests may name it besides the names of this machine.
	Host string
	Log  *slog.Logger
}

// Server serves the page.
type Server struct {
	Options
	assets  *assets
	lookers chan struct{} // one for each open stream
}

// New makes a server.
func New(o Options) (*Server, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	return &Server{Options: o, assets: files, lookers: make(chan struct{}, maxLookers)}, nil
}

// Serve answers requests on a listener until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:    slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx }, // streams end with it
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve the page: %w", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("end the page: %w", err), server.Close())
	}
	return nil
}

// Handler answers requests.
func (s *Server) Handler() http.Handler {
	private := http.NewServeMux()
	private.HandleFunc("GET /{$}", s.assets.page)
	private.HandleFunc("GET /assets/", s.assets.serve)
	private.HandleFunc("GET /api/state", answer(s, func(r *http.Request) (any, error) { return s.State(r.Context()) }))
	private.HandleFunc("GET /api/suggestions", answer(s, func(r *http.Request) (any, error) {
		body, err := s.Advice(r.Context())
		return json.RawMessage(body), err
	}))
	private.HandleFunc("GET /api/usage", answer(s, func(r *http.Request) (any, error) {
		return s.Usage(r.Context(), usage.Question{
			Timeframe: r.FormValue("timeframe"), By: r.FormValue("by"), Zone: r.FormValue("zone"),
		})
	}))
	private.HandleFunc("GET /api/events", s.stream)
	return s.hardened(s.admitted(private))
}

// answer makes a handler of a question that has a JSON document for an answer.
func answer(s *Server, ask func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		body, err := ask(r.WithContext(ctx))
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, http.StatusOK, body)
	}
}

// refusal is the body of an answer that is none.
type refusal struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// refuse tells a browser what went wrong: its own faults in full, those of others in general words.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	status, body := http.StatusBadGateway, refusal{}
	body.Error.Code, body.Error.Message = string(wire.CodeOf(wire.ErrUnavailable)), "the broker does not answer; try again"
	if errors.Is(err, wire.ErrInvalid) {
		status = http.StatusBadRequest
		body.Error.Code, body.Error.Message = string(wire.CodeOf(wire.ErrInvalid)), err.Error()
	}
	s.Log.Debug("a question of the page is not answered", "path", r.URL.Path, "error", err)
	s.write(w, status, body)
}

func (s *Server) write(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		s.Log.Error("an answer of the page cannot be encoded", "error", err)
		http.Error(w, "internal", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// The browser may be slow, but not for ever. An error means that the connection is gone.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.WriteHeader(status)
	_, _ = w.Write(encoded)
}
