package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// run is one benchmark under way.
type run struct {
	options Options
	sides   []side
	closers []func() error
	absent  []Absence
	samples map[cell][]sample
	failed  map[int]bool // by index of sides: measured no further
}

// cell is one place in the report: a system at a number of clients.
type cell struct{ side, clients int }

// side is one system with one durability class and one way of connecting.
type side struct {
	description
	// echo is the index in run.sides of the echo that this side is compared with.
	echo int
	// connect opens what so many clients need.
	connect func(ctx context.Context, clients int) (session, error)
	// elsewhere says that another process does part of the work, so that the cost of a decision is not known.
	elsewhere bool
	// settle returns when nothing that a measurement left behind goes on; nil where nothing does.
	settle func(ctx context.Context) error
}

// description is what the report says of a side.
type description struct {
	Name       string `json:"name"`       // short and unique
	System     string `json:"system"`     // what it is
	Durability string `json:"durability"` // a durability class
	Setting    string `json:"setting"`    // of the system, that gives the class
	Layout     string `json:"layout"`     // how clients connect
}

// session is a side with its connections open. Each client calls it from one goroutine.
type session interface {
	// reserve takes a hold on three limits for a client that has none.
	reserve(ctx context.Context, client int) error
	// release gives it back.
	release(ctx context.Context, client int) error
	close() error
}

// start brings every system up. Only a fault of the NATS server is an error.
func (r *run) start(ctx context.Context) error {
	if err := r.startNATS(ctx); err != nil {
		return err
	}
	for _, system := range []struct {
		name, prefix string
		start        func(context.Context) error
	}{
		{"Redis", "redis", r.startRedis},
		{"PostgreSQL", "postgres", r.startPostgres},
	} {
		if !r.options.wantsSome(system.prefix) {
			continue
		}
		if err := system.start(ctx); err != nil {
			r.absent = append(r.absent, Absence{System: system.name, Reason: err.Error()})
		}
	}
	if r.choose(); len(r.sides) == 0 && len(r.absent) == 0 {
		return fmt.Errorf("no system is called %q or begins so", r.options.Systems)
	}
	return ctx.Err()
}

// choose leaves the sides that are to be measured and the echoes that they are compared with.
func (r *run) choose() {
	var chosen []side
	place := map[int]int{} // of an echo among the chosen
	for index, one := range r.sides {
		if needed := slices.ContainsFunc(r.sides, func(s side) bool { return s.echo == index && r.options.wants(s.Name) }); one.echo == index && needed {
			place[index] = len(chosen)
			chosen = append(chosen, one)
		} else if one.echo != index && r.options.wants(one.Name) {
			chosen = append(chosen, one)
		}
	}
	for i := range chosen {
		chosen[i].echo = place[chosen[i].echo]
	}
	r.sides = chosen
}

// echoOf gives the index of the echo that a durability class is compared with: the one on the NATS
// server with that class.
func (r *run) echoOf(durability string) int {
	for index, side := range r.sides {
		if side.Name == "echo-page" && durability == ClassPageCache {
			return index
		}
	}
	return 0
}

// measureAll goes through every cell once per repetition. The order within a repetition turns by one
// each time, so that no side always follows the same other one.
func (r *run) measureAll(ctx context.Context) error {
	total := r.options.Repetitions * len(r.options.Clients) * len(r.sides)
	done := 0
	for repetition := range r.options.Repetitions {
		for _, clients := range r.options.Clients {
			for turn := range r.sides {
				index := (turn + repetition) % len(r.sides)
				if r.options.Progress != nil {
					r.options.Progress(done, total, fmt.Sprintf("%s, %d clients", r.sides[index].Name, clients))
				}
				done++
				if err := r.measure(ctx, index, clients); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *run) measure(ctx context.Context, index, clients int) error {
	if r.failed[index] {
		return nil
	}
	side := r.sides[index]
	s, err := r.measureSide(ctx, side, load{
		clients: clients, warmUp: r.options.WarmUp, duration: r.options.Duration,
	})
	if err != nil {
		return r.fault(ctx, index, fmt.Errorf("failed with %d clients: %w", clients, err))
	}
	at := cell{index, clients}
	r.samples[at] = append(r.samples[at], s)
	return nil
}

// fault ends the benchmark when it was interrupted or the echo, to which all is compared, failed. Any
// other side is left out from now on, and the report says why.
func (r *run) fault(ctx context.Context, index int, why error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("benchmark interrupted: %w", ctx.Err())
	}
	if r.sides[index].echo == index {
		return fmt.Errorf("%s: %w", r.sides[index].Name, why)
	}
	r.failed[index] = true
	r.absent = append(r.absent, Absence{System: r.sides[index].Name, Reason: why.Error()})
	return nil
}

// measureSide puts the load on a side. What a decision costs is measured from before the warm-up until nothing goes on
// any more, over all decisions, so that work done later than the answer counts too; opening connections does not.
func (r *run) measureSide(ctx context.Context, side side, l load) (result sample, err error) {
	session, err := side.connect(ctx, l.clients)
	if err != nil {
		return sample{}, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, session.close()) }()
	profile, err := r.options.startProfile(fmt.Sprintf("%s-%d", side.Name, l.clients))
	if err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, profile.stop()) }()
	before, err := measureUsage()
	if err != nil {
		return sample{}, err
	}
	if result, err = l.run(ctx, session); err != nil {
		return result, err
	}
	if side.settle != nil {
		if err := side.settle(ctx); err != nil {
			return result, err
		}
	}
	after, err := measureUsage()
	if !side.elsewhere {
		result.cost = after.since(before).over(result.decisions)
	}
	return result, err
}

// close ends what start began, the last first.
func (r *run) close() error {
	var faults []error
	for i := len(r.closers) - 1; i >= 0; i-- {
		faults = append(faults, r.closers[i]())
	}
	return errors.Join(faults...)
}
