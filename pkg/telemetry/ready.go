package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// check is one condition of being ready.
type check struct {
	name string
	ask  func(ctx context.Context) error
}

// Check adds a condition of being ready: ask returns nil when it holds, else what is missing. It is
// called on every request of /readyz, by several goroutines at once, with a context of at most
// [CheckTimeout].
func (t *Telemetry) Check(name string, ask func(ctx context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checks = append(t.checks, check{name: name, ask: ask})
}

// errNotYet is the fault of a gate that was never opened.
var errNotYet = errors.New("not yet")

// Gate is a condition that the service opens and closes itself, for instance when it took the lead
// or began to drain. It is safe for concurrent use.
type Gate struct {
	fault atomic.Pointer[error] // nil when open
}

// Gate adds a closed gate called name to the conditions of being ready.
func (t *Telemetry) Gate(name string) *Gate {
	gate := &Gate{}
	gate.Close(errNotYet)
	t.Check(name, func(context.Context) error {
		if fault := gate.fault.Load(); fault != nil {
			return *fault
		}
		return nil
	})
	return gate
}

// Open says that the condition holds.
func (g *Gate) Open() { g.fault.Store(nil) }

// Close says that the condition does not hold, and why.
func (g *Gate) Close(why error) { g.fault.Store(&why) }

// Ready asks every check and returns nil when all hold, else the joined faults, each with the name of
// its check. A service without any check is never ready: nobody has said when it would be.
func (t *Telemetry) Ready(ctx context.Context) error {
	results := t.ask(ctx)
	if len(results) == 0 {
		return errors.New("no readiness check is registered")
	}
	var faults []error
	for _, r := range results {
		if r.fault != nil {
			faults = append(faults, fmt.Errorf("%s: %w", r.name, r.fault))
		}
	}
	return errors.Join(faults...)
}

type result struct {
	name  string
	fault error
}

func (t *Telemetry) ask(ctx context.Context) []result {
	t.mu.Lock()
	checks := t.checks[:len(t.checks):len(t.checks)]
	t.mu.Unlock()
	results := make([]result, 0, len(checks))
	for _, c := range checks {
		results = append(results, result{name: c.name, fault: c.ask(ctx)})
	}
	return results
}
