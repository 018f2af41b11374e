package simulate

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Grid is what to simulate: every policy at every load with every seed from First on.
type Grid struct {
	Config   quota.Config
	Tenants  []*Tenant
	Days     int
	First    uint64 // seed
	Seeds    int
	Loads    []float64
	Policies []Policy
	// Done is called after each simulation, from several goroutines.
	Done func()
}

// Size is the number of simulations.
func (g *Grid) Size() int { return g.Seeds * len(g.Loads) * len(g.Policies) }

// Run simulates all of it on all processors and gives a report for each load and policy, in this order.
func (g *Grid) Run(ctx context.Context) ([]*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := make([][]*Report, len(g.Loads)*len(g.Policies))
	work := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for n := range work {
				cell, seed := n/g.Seeds, n%g.Seeds
				r, err := Run(ctx, Options{
					Config: g.Config, Tenants: g.Tenants, Days: g.Days, Seed: g.First + uint64(seed),
					Load: g.Loads[cell/len(g.Policies)], Policy: g.Policies[cell%len(g.Policies)],
				})
				if err != nil {
					cancel(fmt.Errorf("seed %d: %w", g.First+uint64(seed), err))
					continue
				}
				each[cell][seed] = r
				g.Done()
			}
		})
	}
	for i := range each {
		each[i] = make([]*Report, g.Seeds)
	}
	for n := range g.Size() {
		work <- n
	}
	close(work)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	merged := make([]*Report, len(each))
	for i, reports := range each {
		merged[i] = Merge(reports)
	}
	return merged, nil
}
