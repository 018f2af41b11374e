package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// opTimeout is how long one request may take before the side counts as failed.
const opTimeout = 15 * time.Second

// load is a number of clients, each of which reserves and releases in turn, for a time.
type load struct {
	clients          int
	warmUp, duration time.Duration
}

// sample is what one measurement gave.
type sample struct {
	perSecond float64 // durable decisions, reserve and release alike
	p50, p99  time.Duration
	decisions int64 // all, those of the warm-up and of the end included
	cost      cost  // of one decision; nothing where part of the work is done by another process
}

// The phases of a measurement.
const (
	_ int32 = iota // warming up
	counting
	over
)

// run drives the session and returns the sample. What is decided within the time counts. Clients that
// are in the middle of a request when it is over finish it, uncounted.
func (l load) run(ctx context.Context, s session) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		phase     atomic.Int32 // warming up, counting, over
		decisions atomic.Int64
		all       atomic.Int64
		latencies = make([][]time.Duration, l.clients)
		group     sync.WaitGroup
	)
	for client := range l.clients {
		group.Go(func() {
			for phase.Load() < over {
				reserved, err := cycle(ctx, s, client, func() {
					all.Add(1)
					if phase.Load() == counting {
						decisions.Add(1)
					}
				})
				if err != nil {
					cancel(fmt.Errorf("client %d: %w", client, err))
					return
				}
				if phase.Load() == counting {
					latencies[client] = append(latencies[client], reserved)
				}
			}
		})
	}
	wait(ctx, l.warmUp)
	phase.Store(counting)
	begin := time.Now()
	wait(ctx, l.duration)
	phase.Store(over)
	took := time.Since(begin)
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return sample{}, err
	}
	sorted := slices.Concat(latencies...)
	slices.Sort(sorted)
	return sample{
		perSecond: float64(decisions.Load()) / took.Seconds(),
		p50:       percentile(sorted, 50),
		p99:       percentile(sorted, 99),
		decisions: all.Load(),
	}, nil
}

// cycle is one reserve, whose latency it returns, and one release; it calls decided after each.
func cycle(ctx context.Context, s session, client int, decided func()) (reserved time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	began := time.Now()
	if err := s.reserve(ctx, client); err != nil {
		return 0, fmt.Errorf("reserve: %w", err)
	}
	reserved = time.Since(began)
	decided()
	if err := s.release(ctx, client); err != nil {
		return 0, fmt.Errorf("release: %w", err)
	}
	decided()
	return reserved, nil
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// percentile gives the nearest-rank percentile of sorted values, 0 for none.
func percentile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}
