package system

import (
	"context"
	"errors"
	"strings"

	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/analytics"
	"github.com/bursarhq/bursar/services/notification"
	"github.com/bursarhq/bursar/services/suggestion"
)

// service is a part that runs one of our services with credentials of its own.
func (s *system) service(name string, run func(ctx context.Context) error) runner.Part {
	return runner.Part{Name: name, Run: func(ctx context.Context) error {
		err := run(ctx)
		if err == nil && ctx.Err() == nil {
			return errors.New("ended by itself")
		}
		return err
	}}
}

// allocator decides, and relays what was decided to the public events.
func (s *system) allocator() runner.Part {
	return s.service("allocator", func(ctx context.Context) error {
		points, err := failpoint.FromEnv(s.cfg.Getenv)
		if err != nil {
			return err
		}
		cfg := allocator.Config{
			Version: semantic(s.cfg.Version), Workspaces: []string{s.cfg.Workspace}, Points: points, Telemetry: s.telemetry,
			Tracer:  s.otel.Tracer("github.com/bursarhq/bursar/services/allocator"),
			Initial: &s.document.parsed.Quota, Enforce: s.document.named,
		}
		for _, c := range []struct {
			role natsauth.Role
			at   *natsconn.Config
		}{
			{natsauth.RoleAllocatorFront, &cfg.Front}, {natsauth.RoleAllocatorStore, &cfg.Store}, {natsauth.RoleRelay, &cfg.Relay},
		} {
			if *c.at, err = s.connection(natsauth.Service(c.role)); err != nil {
				return err
			}
		}
		return allocator.Run(ctx, cfg, s.log.With("service", "allocator"))
	})
}

// semantic gives a version in the form that `nats micro` demands; a build without a release has none.
func semantic(version string) string {
	version = strings.TrimPrefix(version, "v")
	if strings.Count(version, ".") != 2 || strings.ContainsAny(version[:1], "abcdefghijklmnopqrstuvwxyz") {
		return ""
	}
	return version
}

// analytics brings the ledger into ClickHouse and answers questions about it.
func (s *system) analytics() runner.Part {
	return s.service("analytics", func(ctx context.Context) error {
		points, err := failpoint.FromEnv(s.cfg.Getenv)
		if err != nil {
			return err
		}
		cfg := analytics.Config{
			ClickHouse: s.dsn, Retention: analytics.RetentionOf(s.cfg.KeepEventsDays), Partitions: analytics.Partitions(s.cfg.EventPartitions),
			Failpoints: points, Telemetry: s.telemetry,
		}
		if cfg.NATS, err = s.connection(natsauth.Service(natsauth.RoleAnalytics)); err != nil {
			return err
		}
		if cfg.Front, err = s.connection(natsauth.Service(natsauth.RoleAnalyticsFront)); err != nil {
			return err
		}
		return analytics.Run(ctx, cfg, s.log.With("service", "analytics"))
	})
}

// suggestion gives advice.
func (s *system) suggestion() runner.Part {
	return s.service("suggestion", func(ctx context.Context) error {
		cfg, err := s.connection(natsauth.Service(natsauth.RoleSuggestion))
		if err != nil {
			return err
		}
		return suggestion.Run(ctx, suggestion.Config{NATS: cfg, Telemetry: s.telemetry}, s.log.With("service", "suggestion"))
	})
}

// notification tells webhooks what happens.
func (s *system) notification() runner.Part {
	return s.service("notification", func(ctx context.Context) error {
		cfg, err := s.connection(natsauth.Service(natsauth.RoleNotification))
		if err != nil {
			return err
		}
		return notification.Run(ctx, notification.Config{
			NATS: cfg, Telemetry: s.telemetry, Endpoints: s.endpointsTold,
		}, s.log.With("service", "notification"))
	})
}
