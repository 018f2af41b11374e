// Package page is the service that shows a workspace in a browser: its windows, reservations and queue as they are now,
// the events as they happen, usage over time, and advice.
//
// It is a service of its own, beside the others, because it needs rights that none of them has and none that they have:
// it asks as a viewer, who may ask and change nothing, and reads the history of events and the suggestions on a second
// connection that may do just that. Whoever breaks into it can look on, and no more.
//
// It keeps nothing: a page that is opened again, or a service that is started again, asks anew. While the broker is
// away the page says so, and goes on by itself when it is back.
package page

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/services/page/internal/live"
	"github.com/bursarhq/bursar/services/page/internal/usage"
	"github.com/bursarhq/bursar/services/page/internal/web"
)

// Config configures the service.
type Config struct {
	// Workspace is what the page shows, and Viewer the principal as which it asks. Required.
	Workspace string
	Viewer    string
	// Asking says how to connect as the viewer, and Reading as natsauth.RolePage. Required.
	Asking, Reading natsconn.Config
	// Listener is where the page is served; Run closes it. Required; see [Listen].
	Listener net.Listener
	// Token is what a login takes; empty demands none. Required where others than this machine reach the listener.
	Token Token
	// Telemetry takes the service's readiness. Required.
	Telemetry *telemetry.Telemetry
	// Version of the build, which the page shows.
	Version string
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Workspace == "" || c.Viewer == "" {
		errs = append(errs, errors.New("no workspace or no viewer"))
	}
	if c.Listener == nil {
		errs = append(errs, errors.New("no listener"))
	} else if c.Token == "" && !Loopback(c.Listener.Addr().String()) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrExposed, c.Listener.Addr()))
	}
	if c.Telemetry == nil {
		errs = append(errs, errors.New("no telemetry"))
	}
	if len(errs) > 0 {
		return fmt.Errorf("page service: %w", errors.Join(errs...))
	}
	return nil
}

// DefaultAddress is where the page is served unless another address is given.
const DefaultAddress = "127.0.0.1:8420"

// ErrExposed: other machines would reach the page, and nothing would ask them who they are.
var ErrExposed = errors.New("a page that is not on loopback needs a token")

// CheckAddress tells what is wrong with an address to listen on.
func CheckAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not a host and a port such as 127.0.0.1:8420", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not within 0..65535", port)
	}
	return nil
}

// Loopback tells whether only this machine reaches an address, host and port.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// Listen takes the address of the page, host and port; port 0 is any free one.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the page on %s: %w", address, err)
	}
	return listener, nil
}

// Run serves until ctx ends, and returns nil then. It returns an error when it cannot start or can no longer serve.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	defer func() { _ = cfg.Listener.Close() }() // once more where the server has it closed
	gate, standing := cfg.Telemetry.Gate("page"), &natsconn.Standing{}
	cfg.Telemetry.Check("nats of page", standing.Ready)
	asking, err := natsconn.Connect(ctx, cfg.Asking)
	if err != nil {
		return bus.UnlessEnded(ctx, err)
	}
	standing.Add(asking)
	defer asking.Close()
	reading, err := natsconn.Connect(ctx, cfg.Reading)
	if err != nil {
		return bus.UnlessEnded(ctx, err)
	}
	standing.Add(reading)
	defer reading.Close()
	broker, err := client.New(asking, client.Options{Workspace: cfg.Workspace, Principal: cfg.Viewer, Log: log})
	if err != nil {
		return fmt.Errorf("ask as the viewer: %w", err)
	}
	defer func() { _ = broker.Close() }() // the connection ends with it

	board := live.NewBoard()
	poller := live.NewPoller(board, live.Source{Workspace: cfg.Workspace, Broker: broker, Reader: reading, Log: log})
	desk := usage.NewDesk(broker, time.Now)
	server, err := web.New(web.Options{
		Sources: web.Sources{Board: board, State: poller.State, Advice: poller.Advice, Usage: desk.Ask, Forecast: desk.Forecast},
		Version: cfg.Version, Token: []byte(cfg.Token), Host: hostOf(cfg.Listener), Now: time.Now, Log: log,
	})
	if err != nil {
		return err
	}
	gate.Open()
	log.Info("the page is served", "url", "http://"+cfg.Listener.Addr().String(), "login", cfg.Token != "")
	if !Loopback(cfg.Listener.Addr().String()) {
		log.Warn("the page is served to other machines without TLS: whoever is on the way can read it; better put a proxy with TLS before a page on loopback")
	}
	return runner.Run(ctx, log, drainTime,
		runner.Part{Name: "events", Run: poller.Follow},
		runner.Part{Name: "state", Run: poller.Run},
		runner.Part{Name: "http", Run: func(ctx context.Context) error { return server.Serve(ctx, cfg.Listener) }})
}

// drainTime is how long everything has to end.
const drainTime = 10 * time.Second

// hostOf is the host that a listener listens on.
func hostOf(l net.Listener) string {
	host, _, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return "" // it listens on no host, such as on a socket in a folder
	}
	return host
}
