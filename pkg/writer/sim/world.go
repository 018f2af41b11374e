package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
)

// The shape of a schedule.
const (
	processes = 3
	stormLast = 25 * time.Second // how long faults last at the most
	calmLast  = 90 * time.Second // how long the world has to answer everybody then
	maxSteps  = 200_000
	maxAgents = 5
	timeout   = 2 * time.Second // after which a process gives up on the store
	giveUp    = 5 * time.Second // after which an agent asks again
)

// start is twenty seconds before midnight in UTC, so that calendar windows roll over.
var start = quota.InstantOf(time.Date(2026, 11, 23, 23, 59, 40, 0, time.UTC))

// Result is what one schedule came to.
type Result struct {
	Seed       uint64
	Violations []string
	Steps      int
	Commits    int
	Tally      Tally
	Trace      []string // what happened, when it was asked for
}

// Run runs the schedule of a seed. With trace it keeps what happened, in words.
func Run(seed uint64, trace bool) *Result {
	w := newWorld(seed, trace)
	w.run()
	w.oracle.finish()
	w.result.Commits = len(w.store.log)
	return w.result
}

// event is something that happens at a time.
type event struct {
	at  time.Duration
	seq uint64
	run func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}

// world is one schedule.
type world struct {
	rand   *rand.Rand
	now    time.Duration
	seq    uint64
	queue  eventHeap
	store  *store
	nodes  []*node
	agents []*agent
	oracle *oracle
	result *Result
	trace  bool
	storm  bool
	ends   time.Duration // of the storm
	rates  rates
	think  time.Duration // the longest pause between an agent's requests
	holder *node         // of the lease: the last one that was elected
	// sharedUnits is the configured capacity of the session; 0 where only the provider tells it.
	sharedUnits int64
	stints      bool // there is a window with a part that is held back
}

// rates are how often things go wrong in this schedule.
type rates struct {
	store, process, wire, clock float64
	full                        bool
}

func newWorld(seed uint64, trace bool) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 0xB0A5)), result: &Result{Seed: seed}, trace: trace, storm: true}
	pick := func(of ...float64) float64 { return of[w.rand.IntN(len(of))] }
	w.rates = rates{store: pick(0, 0.03, 0.15, 0.4), process: pick(0, 0.02, 0.1), wire: pick(0, 0.05, 0.3), clock: pick(0, 0.5, 1), full: w.rand.IntN(4) == 0}
	w.think = []time.Duration{4 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}[w.rand.IntN(3)]
	w.ends = 5*time.Second + w.upTo(stormLast-5*time.Second)
	if w.sharedUnits = sessionUnits; w.rand.IntN(4) == 0 {
		w.sharedUnits = 0
	}
	w.stints = seed%stintsIn == 1
	w.store = &store{world: w}
	w.oracle = newOracle(w)
	for i := range processes {
		w.nodes = append(w.nodes, newNode(w, i))
	}
	for i := range 2 + w.rand.IntN(maxAgents-1) {
		w.agents = append(w.agents, newAgent(w, i))
	}
	return w
}

// run runs until everybody is answered, or time is up.
func (w *world) run() {
	w.say("rates %+v, storm until %s, %d agents", w.rates, w.ends, len(w.agents))
	w.after(w.ends, func() { w.storm = false; w.say("calm") })
	w.every(400*time.Millisecond, w.elect)
	w.every(700*time.Millisecond, w.disturb)
	w.agents[0].configure()
	var settled time.Duration
	for len(w.queue) > 0 && len(w.result.Violations) == 0 {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.run()
		if w.result.Steps++; w.result.Steps > maxSteps {
			w.violate("the world does not come to rest after %d events", maxSteps)
		}
		if !w.allDone() {
			if w.now > w.ends+calmLast {
				w.violate("not everybody is answered %s after the storm: %s", calmLast, w.unanswered())
			}
			continue
		}
		if settled == 0 {
			settled, w.storm = w.now, false
		}
		// Leases of at most ten seconds are left; they must end too.
		if w.now > settled+15*time.Second {
			return
		}
	}
}

func (w *world) allDone() bool {
	for _, a := range w.agents {
		if !a.done {
			return false
		}
	}
	return true
}

func (w *world) unanswered() (names string) {
	for _, a := range w.agents {
		if !a.done {
			names += fmt.Sprintf("%s waits for %s; ", a.name, a.waitsFor())
		}
	}
	return names
}

// after schedules something.
func (w *world) after(d time.Duration, run func()) {
	w.seq++
	heap.Push(&w.queue, event{w.now + max(d, 0), w.seq, run})
}

// every does something again and again.
func (w *world) every(d time.Duration, run func()) {
	var again func()
	again = func() {
		run()
		w.after(d/2+w.upTo(d), again)
	}
	w.after(w.upTo(d), again)
}

// wall is the true time.
func (w *world) wall() quota.Instant { return start.Add(quota.MillisOf(w.now)) }

// upTo is a random span.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rand.Int64N(int64(d))) }

// chance decides whether a fault happens; after the storm none does.
func (w *world) chance(p float64) bool { return w.storm && p > 0 && w.rand.Float64() < p }

// id makes random ids.
func (w *world) id() (id ledger.ID) {
	for i := 0; i < len(id); i += 8 {
		n := w.rand.Uint64()
		for j := range 8 {
			id[i+j] = byte(n >> (8 * j))
		}
	}
	return id
}

func (w *world) fault(f Fault) { w.result.Tally.Faults[f]++ }

func (w *world) reach(o Outcome) { w.result.Tally.Outcomes[o]++ }

// violate records that a promise was broken.
func (w *world) violate(format string, args ...any) {
	text := fmt.Sprintf("at %s: ", w.now) + fmt.Sprintf(format, args...)
	w.result.Violations = append(w.result.Violations, text)
	w.say("VIOLATION %s", text)
}

func (w *world) say(format string, args ...any) {
	if w.trace {
		w.result.Trace = append(w.result.Trace, fmt.Sprintf("%10.4f ", w.now.Seconds())+fmt.Sprintf(format, args...))
	}
}

// elect is the lease: it makes somebody lead when nobody seems to, and is wrong now and then.
func (w *world) elect() {
	var leading []*node
	var able []*node
	for _, n := range w.nodes {
		switch {
		case n.paused || n.dead:
		case n.elected && !w.storm && n != w.holder:
			n.demote() // after the storm the lease is what everybody goes by
		case n.elected:
			leading = append(leading, n)
		default:
			able = append(able, n)
		}
	}
	if len(able) == 0 {
		return
	}
	spurious := len(leading) > 0 && w.chance(0.05+w.rates.process/2)
	if len(leading) > 0 && !spurious {
		return
	}
	n := able[w.rand.IntN(len(able))]
	if spurious {
		w.fault(TwoLeaders)
		if w.chance(0.3) {
			old := leading[w.rand.IntN(len(leading))]
			w.fault(LeaseLost)
			w.say("node %d loses the lease", old.index)
			old.demote()
		}
	}
	w.holder = n
	n.elect()
}

// disturb stops, continues, drains and jumps.
func (w *world) disturb() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	switch {
	case n.paused && !w.storm, n.paused && w.rand.IntN(6) == 0:
		n.resume()
	case n.dead || n.paused:
	case w.chance(w.rates.process):
		w.fault(Paused)
		n.pause()
	case w.chance(w.rates.process / 3):
		w.fault(Drained)
		n.drain()
	case w.chance(w.rates.clock / 10):
		n.jump()
	}
	w.store.disturb()
}
