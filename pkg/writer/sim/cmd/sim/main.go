// Command sim runs schedules of the simulation and says how many broke a promise.
//
//	go run ./writer/sim/cmd/sim -schedules 100000
//	go run ./writer/sim/cmd/sim -seed 4711        # one schedule again, step by step
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bursarhq/bursar/pkg/writer/sim"
)

func main() { os.Exit(run()) }

func run() int {
	schedules := flag.Uint64("schedules", 100_000, "how many schedules to run")
	first := flag.Uint64("first", 1, "the seed of the first schedule; the others follow")
	seed := flag.Uint64("seed", 0, "run only the schedule of this seed and print what happens in it")
	stop := flag.Bool("stop", false, "stop at the first violation")
	flag.Parse()
	debug.SetGCPercent(400) // schedules are short-lived garbage
	if *seed != 0 {
		return replay(*seed)
	}
	began := time.Now()
	sum := runAll(*first, *schedules, *stop)
	sum.print(os.Stdout, time.Since(began))
	if sum.violations > 0 || len(sum.tally.Empty()) > 0 && !*stop {
		return 1
	}
	return 0
}

// replay runs one schedule and prints its trace.
func replay(seed uint64) int {
	r := sim.Run(seed, true)
	for _, line := range r.Trace {
		fmt.Println(line)
	}
	fmt.Printf("1 schedules, %d violations\n", len(r.Violations))
	return min(1, len(r.Violations))
}

// summary adds up schedules.
type summary struct {
	schedules, violations uint64
	steps, commits        uint64
	tally                 sim.Tally
	examples              []string
}

func runAll(first, count uint64, stop bool) *summary {
	var next atomic.Uint64
	next.Store(first)
	var found atomic.Bool
	var mu sync.Mutex
	var wg sync.WaitGroup
	sum := &summary{}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= first+count || stop && found.Load() {
					return
				}
				r := sim.Run(seed, false)
				mu.Lock()
				sum.add(r)
				mu.Unlock()
				if len(r.Violations) > 0 {
					found.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return sum
}

// maxExamples is how many violations are printed.
const maxExamples = 10

func (s *summary) add(r *sim.Result) {
	s.schedules++
	s.steps += uint64(r.Steps)
	s.commits += uint64(r.Commits)
	s.tally.Add(&r.Tally)
	if len(r.Violations) == 0 {
		return
	}
	s.violations++
	if len(s.examples) < maxExamples {
		s.examples = append(s.examples, fmt.Sprintf("seed %d: %s", r.Seed, r.Violations[0]))
	}
}

func (s *summary) print(to *os.File, took time.Duration) {
	for _, e := range s.examples {
		fmt.Fprintln(to, e)
	}
	rows := max(len(s.tally.Faults), len(s.tally.Outcomes))
	fmt.Fprintf(to, "%-24s %10s   %-24s %10s\n", "fault", "times", "outcome", "times")
	for i := range rows {
		var fault, outcome string
		if i < len(s.tally.Faults) {
			fault = fmt.Sprintf("%-24s %10d", sim.Fault(i), s.tally.Faults[i])
		}
		if i < len(s.tally.Outcomes) {
			outcome = fmt.Sprintf("%-24s %10d", sim.Outcome(i), s.tally.Outcomes[i])
		}
		fmt.Fprintf(to, "%-35s   %s\n", fault, outcome)
	}
	if empty := s.tally.Empty(); len(empty) > 0 {
		fmt.Fprintf(to, "never occurred, so nothing is proved of it: %q\n", empty)
	}
	fmt.Fprintf(to, "%d steps, %d commits, %.1f s, %.0f schedules/s\n", s.steps, s.commits, took.Seconds(), float64(s.schedules)/took.Seconds())
	fmt.Fprintf(to, "%d schedules, %d violations\n", s.schedules, s.violations)
}
