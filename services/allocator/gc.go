package allocator

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector lets the heap grow before it collects: most of what a request allocates is gone when it is answered,
// and what stays is small. Where much stays, four times as much again would be a lot of memory for little: the growth is
// bounded, down to Go's own default.
const (
	gcPercentMost  = 400
	gcPercentLeast = 100
	gcGrowthBytes  = 256 << 20
	gcLookEvery    = 5 * time.Second
	gcPercentStep  = 20 // a smaller change is not worth stopping the world for

	liveMetric = "/gc/heap/live:bytes"
)

// TuneGC sets the garbage collector of a process that runs the allocator, unless GOGC or GOMEMLIMIT does, and sets it again
// as what lives grows and shrinks, until ctx ends. It is for main functions.
func TuneGC(ctx context.Context, getenv func(string) string) {
	if getenv("GOGC") != "" || getenv("GOMEMLIMIT") != "" {
		return
	}
	percent := gcPercentMost
	debug.SetGCPercent(percent)
	go func() {
		ticker := time.NewTicker(gcLookEvery)
		defer ticker.Stop()
		live := []metrics.Sample{{Name: liveMetric}}
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			metrics.Read(live)
			if next := gcPercent(live[0].Value.Uint64()); next > percent+gcPercentStep || next < percent-gcPercentStep {
				percent = next
				debug.SetGCPercent(percent)
			}
		}
	}()
}

// gcPercent is how far the heap may grow beyond what lives.
func gcPercent(live uint64) int {
	return int(min(gcPercentMost, max(gcPercentLeast, gcGrowthBytes*100/max(live, 1))))
}
