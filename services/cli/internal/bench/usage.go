package bench

import (
	"fmt"
	"runtime/metrics"
	"syscall"
	"time"
)

// usage is what this process has used so far: the clients, the NATS server and the allocator.
type usage struct {
	processor time.Duration // in user and system mode, on all processors
	allocs    uint64        // objects allocated on the heap
	bytes     uint64        // allocated on the heap
}

// cost is what one decision uses. Other work on the machine lowers the rate of decisions, and hardly their cost.
type cost struct {
	processor time.Duration
	allocs    float64
	bytes     float64
}

func measureUsage() (usage, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return usage{}, fmt.Errorf("read the processor time: %w", err)
	}
	heap := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(heap)
	return usage{
		processor: time.Duration(used.Utime.Nano() + used.Stime.Nano()),
		allocs:    heap[0].Value.Uint64(), bytes: heap[1].Value.Uint64(),
	}, nil
}

func (u usage) since(before usage) usage {
	return usage{u.processor - before.processor, u.allocs - before.allocs, u.bytes - before.bytes}
}

// over spreads usage over a number of decisions; nothing for none.
func (u usage) over(decisions int64) cost {
	if decisions == 0 {
		return cost{}
	}
	return cost{
		processor: u.processor / time.Duration(decisions),
		allocs:    float64(u.allocs) / float64(decisions), bytes: float64(u.bytes) / float64(decisions),
	}
}
