package system

import (
	"context"
	"time"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/allocator"
)

// trimEvery is how often commits older than the retention are removed.
const trimEvery = 24 * time.Hour

// trimming removes old commits once a day. A failure is for the log: the commits wait for the next time.
func (s *system) trimming() runner.Part {
	return runner.Part{
		Name: "trimming",
		Run: func(ctx context.Context) error {
			tick := time.NewTicker(trimEvery)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
				connection, err := s.connection(natsauth.Service(natsauth.RoleMaintenance))
				if err == nil {
					err = allocator.Trim(ctx, allocator.TrimConfig{NATS: connection, Workspaces: []string{s.cfg.Workspace}}, s.log)
				}
				if err != nil && ctx.Err() == nil {
					s.log.Error("ledger not trimmed", "error", err)
				}
			}
		},
	}
}
