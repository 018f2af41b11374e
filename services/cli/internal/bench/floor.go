package bench

import (
	"context"
	"fmt"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/services/allocator/floor"
)

// commitBytes is what a commit of the benchmark takes for each request: the sizes of commits that are stored, 2.2 kB of 24
// requests to 3.4 kB of 40 (bursar_ledger_commit_bytes over bursar_ledger_commit_answers).
const commitBytes = 88

// startFloors adds what the same requests cost where nothing is decided: stored as those of a durability class would
// be, and, beside the page cache, answered at once. Bursar cannot be faster than they are, whatever its rules.
func (r *run) startFloors(ctx context.Context, class string, sync natsembed.Sync, of description) error {
	stored := of
	stored.Name, stored.System = "stored-"+class, "Bursar without its rules"
	if err := r.startFloor(ctx, stored, r.echoOf(of.Durability), sync, commitBytes); err != nil {
		return err
	}
	if of.Durability != ClassPageCache {
		return nil
	}
	answered := of
	answered.Name, answered.System, answered.Durability = "answered", "Bursar without its rules and its log", ClassNone
	return r.startFloor(ctx, answered, r.echoOf(of.Durability), sync, 0)
}

func (r *run) startFloor(ctx context.Context, about description, echo int, sync natsembed.Sync, bytesEach int) error {
	if !r.options.wants(about.Name) {
		return nil
	}
	b, err := r.startBroker(ctx, about.Name, sync)
	if err != nil {
		return err
	}
	running, err := b.startFloor(ctx, bytesEach)
	if err != nil {
		return fmt.Errorf("start %s: %w", about.Name, err)
	}
	r.closers = append(r.closers, running.stop)
	r.sides = append(r.sides, side{
		description: about, echo: echo,
		connect: func(ctx context.Context, clients int) (session, error) {
			return connectBursar(ctx, b, workspaceOf(clients), r.options.Connections, clients)
		},
	})
	return nil
}

// startFloor starts the floor of all workspaces and returns when it answers.
func (b *broker) startFloor(ctx context.Context, bytesEach int) (*running, error) {
	cfg := floor.Config{Workspaces: b.workspaces, BytesEach: bytesEach, Telemetry: telemetry.New("floor", "bench", b.log)}
	var err error
	if cfg.Front, err = b.connection(natsauth.Service(natsauth.RoleAllocatorFront)); err != nil {
		return nil, err
	}
	if cfg.Store, err = b.connection(natsauth.Service(natsauth.RoleAllocatorStore)); err != nil {
		return nil, err
	}
	return startService(ctx, cfg.Telemetry, func(ctx context.Context) error { return floor.Run(ctx, cfg, b.log) })
}
