// Package bench measures what a durable decision costs, as ratios to what the same machine does in the
// same run.
//
// Absolute figures of a benchmark say little: another machine, another disk, another load and they
// change. So every system is measured beside a bare echo, a request answered by a subscriber that does
// nothing, on the same NATS server with the same connections and payloads; the ratio is what is
// reported first. Systems take turns within every repetition, so that a slow minute of the machine
// falls on all of them, and each figure is the median over the repetitions.
//
// The work is the same everywhere. A client asks for units on three limits at once (an account's
// session window, an account's day, a team), which are checked and held together or not at all, with
// a reservation, its expiry, the remembered answer to its request id and an entry in a log recorded; it
// then releases the reservation. Both are durable decisions and both count; latency is that of the
// reserve. Clients do one thing at a time.
//
// Bursar also turns the log into public events, one message each, which the others have no counterpart
// of. It is measured twice: with that relay left to other machines, as the others leave it, and with
// the relay on the same processors. After a measurement the relay finishes before the next one begins.
//
// Two floors say how near to the bare reply Bursar can come at all: the same requests through the same front, stored as
// commits of the same size by which nothing is decided, and answered at once with nothing stored either.
//
// What it guarantees: a system that is not installed or fails is named with the reason, and never left
// out in silence; every row states its durability class and its connections. What it cannot do:
// keep the load generator, which shares the processors, out of the figures. It is part of all of them.
package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
)

// The durability classes: what a power cut takes of what was acknowledged.
const (
	// ClassNone keeps nothing: the echo.
	ClassNone = "none"
	// ClassFsync forces every acknowledged decision onto the disk first.
	ClassFsync = "fsync"
	// ClassPageCache survives the death of the process, and loses the last second in a power cut.
	ClassPageCache = "page cache"
)

// Limits of the options.
const (
	maxClients     = 4096
	maxRepetitions = 101
	maxDuration    = time.Minute
)

// Options say what to measure.
type Options struct {
	// Clients are the numbers of concurrent clients, each of which is measured.
	Clients []int
	// Repetitions is how often everything is measured; figures are medians over them.
	Repetitions int
	// Duration is how long one measurement of one system takes, after WarmUp.
	Duration time.Duration
	// WarmUp is how long the load runs before it counts.
	WarmUp time.Duration
	// Connections is how many connections the clients of a multiplexing system share.
	Connections int
	// Dir is where a folder for the data is made and removed at the end; it must be on a disk for the
	// fsync class to mean anything. Empty means the system's temporary folder.
	Dir string
	// Systems are the names of the systems to measure, or what such names begin with; "." at the end ends a name. None
	// means all. The bare reply that one is compared with is always measured.
	Systems []string
	// Profiles is an existing folder for a processor profile of each system at each number of clients and one of
	// all allocations; empty means none.
	Profiles string
	// Progress, if set, is called before each measurement.
	Progress func(done, total int, what string)
	// Log receives what the systems say.
	Log *slog.Logger
}

// DefaultOptions are those of `make bench`.
func DefaultOptions() Options {
	return Options{
		Clients:     []int{1, 16, 64, 256, 1024},
		Repetitions: 5,
		Duration:    time.Second,
		WarmUp:      200 * time.Millisecond,
		Connections: 4,
		Log:         slog.New(slog.DiscardHandler),
	}
}

// Validate reports every fault of the options at once.
func (o Options) Validate() error {
	var faults []error
	if len(o.Clients) == 0 {
		faults = append(faults, errors.New("no number of clients is given"))
	}
	for _, clients := range o.Clients {
		if clients < 1 || clients > maxClients {
			faults = append(faults, fmt.Errorf("%d clients: give 1 to %d", clients, maxClients))
		}
	}
	if o.Repetitions < 1 || o.Repetitions > maxRepetitions {
		faults = append(faults, fmt.Errorf("%d repetitions: give 1 to %d", o.Repetitions, maxRepetitions))
	}
	if o.Duration <= 0 || o.Duration > maxDuration {
		faults = append(faults, fmt.Errorf("duration %s: give more than 0 and at most %s", o.Duration, maxDuration))
	}
	if o.WarmUp < 0 || o.WarmUp > maxDuration {
		faults = append(faults, fmt.Errorf("warm-up %s: give 0 to %s", o.WarmUp, maxDuration))
	}
	if o.Connections < 1 || o.Connections > maxClients {
		faults = append(faults, fmt.Errorf("%d connections: give 1 to %d", o.Connections, maxClients))
	}
	return errors.Join(faults...)
}

// Throughput measures every system at every number of clients and returns the medians.
//
// It returns an error when the options are wrong, ctx ends, or the echo, to which everything is
// compared, fails. A fault of any other system is in the report.
func Throughput(ctx context.Context, o Options) (report *Report, err error) {
	o, done, err := o.prepare()
	if err != nil {
		return nil, err
	}
	run := &run{options: o, samples: map[cell][]sample{}, failed: map[int]bool{}}
	defer func() { err = errors.Join(err, run.close(), done()) }()
	if err := run.start(ctx); err != nil {
		return nil, err
	}
	if err := run.measureAll(ctx); err != nil {
		return nil, err
	}
	if err := o.writeAllocations(); err != nil {
		return nil, err
	}
	return run.report(), nil
}

// wants tells whether a system is to be measured.
func (o Options) wants(name string) bool {
	return len(o.Systems) == 0 || slices.ContainsFunc(o.Systems, func(prefix string) bool { return strings.HasPrefix(name+".", prefix) })
}

// wantsSome tells whether any system whose name begins so is to be measured.
func (o Options) wantsSome(prefix string) bool {
	return len(o.Systems) == 0 || slices.ContainsFunc(o.Systems, func(name string) bool { return strings.HasPrefix(name, prefix) })
}

// prepare validates the options and makes the folder for the data, which done removes.
func (o Options) prepare() (prepared Options, done func() error, err error) {
	if err := o.Validate(); err != nil {
		return o, nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "bursar-bench-")
	if err != nil {
		return o, nil, fmt.Errorf("make a folder for the data: %w", err)
	}
	o.Dir = dir
	return o, func() error { return os.RemoveAll(dir) }, nil
}
