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
	// Forecast tells when limits are likely to run out, by the hours of a zone.
	Forecast func(ctx context.Context, zone string) (*wire.ForecastReply, error)
}

// Options configure a server.
type Options struct {
	Sources
	// Version of the build, which the page shows.
	Version string
	// Token is what a login takes. Empty demands none: then only requests that name this machine are answered.
	Token []byte
	// Host is what the server listens on; requests may name it besides the names of this machine.
	Host string
	Now  func() time.Time
	Log  *slog.Logger
}

// Server serves the page.
type Server struct {
	Options
	assets  *assets
	gate    *gate         // nil where no login is demanded
	lookers chan struct{} // one for each open stream
}

// New makes a server.
func New(o Options) (*Server, error) {
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	s := &Server{Options: o, assets: files, lookers: make(chan struct{}, maxLookers)}
	if len(o.Token) > 0 {
		s.gate = newGate(o.Token, o.Now)
	}
	return s, nil
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

// Handler answers requests. The files tell nothing of a workspace, so that the login can be shown with them.
func (s *Server) Handler() http.Handler {
	private := s.private()
	if s.gate == nil {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /assets/", s.assets.serve)
		mux.Handle("/", private)
		return s.hardened(s.admitOwn(mux))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/", s.assets.serve)
	mux.HandleFunc("GET "+loginPath, func(w http.ResponseWriter, r *http.Request) { s.assets.send(w, r, loginFile) })
	mux.HandleFunc("POST "+loginPath, s.login)
	mux.HandleFunc("POST "+logoutPath, s.logout)
	mux.Handle("/", s.admitKnown(private))
	return s.hardened(http.NewCrossOriginProtection().Handler(mux))
}

// private answers what only those may know who may look.
func (s *Server) private() http.Handler {
	private := http.NewServeMux()
	private.HandleFunc("GET /{$}", s.assets.page)
	private.HandleFunc("GET /api/session", func(w http.ResponseWriter, _ *http.Request) {
		s.write(w, http.StatusOK, map[string]bool{"login": s.gate != nil})
	})
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
	private.HandleFunc("GET /api/forecast", answer(s, func(r *http.Request) (any, error) { return s.Forecast(r.Context(), r.FormValue("zone")) }))
	private.HandleFunc("GET /api/events", s.stream)
	return private
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
	s.Log.Debug("a question of the page is not answered", "path", r.URL.Path, "error", err)
	if errors.Is(err, wire.ErrInvalid) {
		s.writeRefusal(w, http.StatusBadRequest, string(wire.CodeOf(wire.ErrInvalid)), err.Error())
		return
	}
	s.writeRefusal(w, http.StatusBadGateway, string(wire.CodeOf(wire.ErrUnavailable)), "the broker does not answer; try again")
}

func (s *Server) writeRefusal(w http.ResponseWriter, status int, code, message string) {
	var body refusal
	body.Error.Code, body.Error.Message = code, message
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
