package system

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
)

// patience is how long a question waits for an allocator that serves.
const patience = time.Minute

// configuration is the document that the system starts with.
type configuration struct {
	text   []byte
	parsed *config.Config
	named  bool // by --config, so that it replaces another one that holds
}

func readFile(name string) (text []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer file.Close()
	if text, err = io.ReadAll(io.LimitReader(file, config.MaxBytes+1)); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return text, nil
}

// identities are the principals that the document names, the operator, and the viewer of the page. A name belongs to
// one of them: two identities of a name would hear each other's answers.
func (d *configuration) identities(workspace string) []natsauth.Identity {
	ids := []natsauth.Identity{natsauth.Operator(workspace, natsauth.DefaultOperator), natsauth.Viewer(workspace, natsauth.DefaultViewer)}
	operates := map[string]bool{natsauth.DefaultOperator: true, natsauth.DefaultViewer: true}
	for _, name := range d.parsed.Admins {
		if !operates[name] {
			ids = append(ids, natsauth.Operator(workspace, name))
		}
		operates[name] = true
	}
	for i := range d.parsed.Quota.Principals {
		if name := d.parsed.Quota.Principals[i].Name; !operates[name] {
			ids = append(ids, natsauth.Agent(workspace, name))
		}
	}
	return ids
}

// admitting lets principals in that are configured while the system runs.
func (s *system) admitting() runner.Part {
	serving := s.telemetry.Gate("allocator and analytics")
	return runner.Part{
		Name: "principals",
		Run: func(ctx context.Context) error {
			cfg, err := s.connection(natsauth.Operator(s.cfg.Workspace, natsauth.DefaultOperator))
			if err != nil {
				return err
			}
			cfg.Name = "bursar up"
			nc, err := natsconn.Connect(ctx, cfg)
			if err != nil {
				return err
			}
			defer nc.Close()
			c, err := client.New(nc, client.Options{
				Workspace: s.cfg.Workspace, Principal: natsauth.DefaultOperator, Patience: patience, Log: s.log,
			})
			if err != nil {
				return err
			}
			applied, err := s.heedConfigurations(nc)
			if err != nil {
				return err
			}
			go s.awaitServing(ctx, c, serving)
			return s.admitAll(ctx, c, applied)
		},
	}
}

// heedConfigurations hears when a configuration is applied.
func (s *system) heedConfigurations(nc *nats.Conn) (<-chan struct{}, error) {
	applied := make(chan struct{}, 1)
	applied <- struct{}{} // principals of a configuration applied before this start
	filter, err := wire.KindFilter(s.cfg.Workspace, wire.KindEvent)
	if err != nil {
		return nil, err
	}
	subject := filter[:len(filter)-1] + "*.*." + quota.KindConfigApplied
	_, err = nc.Subscribe(subject, func(*nats.Msg) {
		select {
		case applied <- struct{}{}:
		default: // one more look is waiting already
		}
	})
	if err != nil {
		return nil, fmt.Errorf("hear of configurations: %w", err)
	}
	return applied, nil
}

// awaitServing opens the gate once the allocator and analytics have answered a question each: the services tell their
// readiness themselves, but not before they run.
func (s *system) awaitServing(ctx context.Context, c *client.Client, serving *telemetry.Gate) {
	for ctx.Err() == nil {
		_, err := c.GetConfig(ctx)
		if err == nil {
			err = s.awaitOthers(ctx)
		}
		if err == nil {
			_, err = c.Peaks(ctx, wire.PeaksRequest{})
		}
		if err == nil {
			serving.Open()
			return
		}
		serving.Close(err)
	}
}

// awaitOthers returns when the gate of awaitServing is the only one that is still closed.
func (s *system) awaitOthers(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		closed, ok := s.telemetry.Ready(ctx).(interface{ Unwrap() []error }) // the list that it joins
		if !ok || len(closed.Unwrap()) <= 1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// admitAll makes keys for the principals of each configuration that is applied, until ctx ends.
func (s *system) admitAll(ctx context.Context, c *client.Client, applied <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-applied:
		}
		present, err := c.GetConfig(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.log.Warn("the present configuration is not known; principals that are new must wait", "error", err)
			continue
		}
		for i := range present.Config.Principals {
			if err := s.admit(present.Config.Principals[i].Name); err != nil {
				return err
			}
		}
	}
}

// admit lets a principal in that has no key yet. Operators are made by a start with --config only: an agent's
// permission must not grow by a request.
func (s *system) admit(principal string) error {
	if s.nats == nil {
		return nil // a server of one's own has its own list of users
	}
	agent := natsauth.Agent(s.cfg.Workspace, principal)
	for _, id := range []natsauth.Identity{agent, natsauth.Operator(s.cfg.Workspace, principal), natsauth.Viewer(s.cfg.Workspace, principal)} {
		if s.keys.PublicKey(id) != "" {
			return nil
		}
	}
	if err := natsauth.Admit(s.nats, s.keys, agent); err != nil {
		return fmt.Errorf("let principal %q in: %w", principal, err)
	}
	s.log.Info("a new principal may connect", "principal", principal)
	return nil
}

func pid() int { return os.Getpid() }
