package simulate

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// longestLow is what low-priority work waits at the 99th percentile at most: two windows of five hours.
	longestLow = 2 * 5 * time.Hour
	// evenly is by how much a utilisation may be lower and still count as equal: a thousandth of the windows.
	evenly = 0.001
)

// Compare says in what respect a report does not dominate a baseline of the same load; nothing means that it does.
func Compare(baseline, r *Report) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("load %.1f: ", r.Load)+fmt.Sprintf(format, args...))
	}
	if r.Utilisation < baseline.Utilisation-evenly {
		fault("utilisation %.2f %% is below the baseline's %.2f %%", 100*r.Utilisation, 100*baseline.Utilisation)
	}
	for _, w := range r.Waits {
		if w.Priority == quota.PriorityLow.String() && w.P99 > longestLow.Seconds() {
			fault("low priority waits %.1f h at the 99th percentile, longer than two windows", w.P99/3600)
		}
	}
	return faults
}

// Grid is what to simulate: every policy at every load with every seed from 1 on.
type Grid struct {
	Config   quota.Config
	Tenants  []*Tenant
	Days     int
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
					Config: g.Config, Tenants: g.Tenants, Days: g.Days, Seed: uint64(seed) + 1,
					Load: g.Loads[cell/len(g.Policies)], Policy: g.Policies[cell%len(g.Policies)],
				})
				if err != nil {
					cancel(fmt.Errorf("seed %d: %w", seed+1, err))
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
