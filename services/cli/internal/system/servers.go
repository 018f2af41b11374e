package system

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// storePoll is how often it is asked whether streams are still written.
const storePoll = 2 * time.Second

// natsServer makes the keys of everybody who may connect, and starts the server that knows them.
func (s *system) natsServer() runner.Part {
	return runner.Part{
		Name: "nats",
		Start: func(ctx context.Context) (err error) {
			if s.keys, err = natsauth.LoadOrCreate(s.cfg.Dir.Keys(), s.document.identities(s.cfg.Workspace)...); err != nil {
				return err
			}
			s.endpoints.Workspace, s.endpoints.Keys = s.cfg.Workspace, datadir.Dir(s.cfg.Dir.Absolute()).Keys()
			if s.cfg.NATSURL != "" {
				s.natsURL, s.endpoints.NATS = s.cfg.NATSURL, s.cfg.NATSURL
				return nil
			}
			users, err := s.keys.Users()
			if err != nil {
				return err
			}
			s.nats, err = natsembed.Start(ctx, natsembed.Options{
				StoreDir: s.cfg.Dir.NATS(), Name: serviceName, Port: s.cfg.NATSPort, Sync: s.cfg.Sync, Users: users, Log: s.log,
			})
			if err != nil {
				return portHint(err, "nats", s.cfg.NATSPort)
			}
			s.natsURL, s.endpoints.NATS, s.endpoints.Sync = s.nats.URL(), s.nats.URL(), string(s.cfg.Sync)
			return nil
		},
		Run: s.watchStore,
		Stop: func(context.Context) error {
			if s.nats == nil {
				return nil
			}
			return s.nats.Shutdown()
		},
	}
}

// watchStore ends the system when its NATS server can not write any more: nothing is granted from then on, and only a
// start, by hand or by whatever watches over the process, makes it write again.
func (s *system) watchStore(ctx context.Context) error {
	tick := time.NewTicker(storePoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s.nats == nil {
			continue
		}
		if err := s.nats.Writes(); err != nil {
			return fmt.Errorf("%w; make room below %s and start again: nothing that was answered is lost", err, s.cfg.Dir)
		}
	}
}

// provisioning makes the streams, buckets and consumers that are not there yet, with credentials that nobody else uses.
func (s *system) provisioning() runner.Part {
	return runner.Part{
		Name: "streams",
		Start: func(ctx context.Context) error {
			cfg, err := s.connection(natsauth.Service(natsauth.RoleProvisioning))
			if err != nil {
				return err
			}
			cfg.Wait = false
			nc, err := natsconn.Connect(ctx, cfg)
			switch {
			case errors.Is(err, nats.ErrNoServers):
				return fmt.Errorf("%w: does a server run at the address that --nats-url gives?", err)
			case err != nil:
				return fmt.Errorf("%w; a server of your own has to know the keys in %s", err, s.cfg.Dir.Keys())
			}
			defer nc.Close()
			js, err := jetstream.New(nc)
			if err != nil {
				return fmt.Errorf("open jetstream: %w", err)
			}
			return provision.Ensure(ctx, js, provision.Defaults(), s.log)
		},
	}
}

// clickhouseServer starts ClickHouse, or takes the one that is named.
func (s *system) clickhouseServer() runner.Part {
	return runner.Part{
		Name: "clickhouse",
		Start: func(ctx context.Context) error {
			if s.cfg.ClickHouseURL != "" {
				s.dsn = s.cfg.ClickHouseURL
				return s.nameClickHouse()
			}
			server, err := chembed.Start(ctx, chembed.Options{Dir: s.cfg.Dir.ClickHouse(), Port: s.cfg.ClickHousePort, Log: s.log})
			if err != nil {
				return s.clickHouseHint(portHint(err, "clickhouse", s.cfg.ClickHousePort))
			}
			s.clickhouse, s.dsn = server, server.DSN(chembed.UserWriter)
			s.endpoints.ClickHouse = server.URL()
			s.endpoints.Analyst = datadir.Login{User: chembed.UserAnalyst, PasswordFile: server.PasswordFile(chembed.UserAnalyst)}
			s.endpoints.Writer = datadir.Login{User: chembed.UserWriter, PasswordFile: server.PasswordFile(chembed.UserWriter)}
			return nil
		},
		Stop: func(ctx context.Context) error {
			if s.clickhouse == nil {
				return nil
			}
			return s.clickhouse.Stop(ctx)
		},
	}
}

// clickHouseHint says how to go on where the engine ends over the files it finds.
func (s *system) clickHouseHint(err error) error {
	if !errors.Is(err, chembed.ErrEnded) {
		return err
	}
	return fmt.Errorf("%w\nIf its files are damaged, as a full disk may leave them: move %s away and start again; "+
		"it is filled from the ledger anew", err, s.cfg.Dir.ClickHouse())
}

// nameClickHouse tells the address of a server of one's own without the password that its URL may hold.
func (s *system) nameClickHouse() error {
	options, err := clickhouse.ParseDSN(s.dsn)
	if err != nil {
		return errors.New("--clickhouse-url is not a URL such as http://user@host:8123/bursar") // err would repeat the password
	}
	if len(options.Addr) > 0 {
		s.endpoints.ClickHouse = "http://" + options.Addr[0]
	}
	return nil
}
