package workload

import (
	"cmp"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// Days is how far back a log goes.
	Days = 7
	// MaxJobs bounds the jobs that are kept; the oldest are forgotten.
	MaxJobs = 20_000
	// maxOpen bounds reservations and refused reserves that may still become something.
	maxOpen = 100_000
	// retryGap: the same agent asking again for the same within this time tries again.
	retryGap = 30 * quota.Minute
	// bin: usage without a reservation of one agent and model within this time is one job.
	bin = 5 * quota.Minute
	// trimEvery keeps forgetting cheap.
	trimEvery = 1024
)

// Log keeps the jobs of the last days. It is not safe for concurrent use.
type Log struct {
	now    quota.Instant
	from   quota.Instant // whole from here on; 0 until the first event
	jobs   []*Job
	open   map[string]*Job
	asking map[ask]*Job // refused, and perhaps tried again
	bins   map[binKey]*Job
	fresh  int // jobs since the last trim
	events int64
}

// ask tells refused reserves apart: the same of the same agent is a further try.
type ask struct {
	principal, agent, provider, model, task string
	amount                                  quota.Amount
}

type binKey struct {
	labels quota.Labels
	at     quota.Instant
}

// New gives an empty log.
func New() *Log {
	return &Log{open: map[string]*Job{}, asking: map[ask]*Job{}, bins: map[binKey]*Job{}}
}

// Now is the time of the last event.
func (l *Log) Now() quota.Instant { return l.now }

// Events counts what was folded into jobs.
func (l *Log) Events() int64 { return l.events }

// Len is the number of jobs that are kept; it may count some that are too long ago.
func (l *Log) Len() int { return len(l.jobs) }

// From is from when on the log is whole.
func (l *Log) From() quota.Instant { return max(l.from, l.now.Add(-Days*quota.Day)) }

// Advance lets time pass.
func (l *Log) Advance(at quota.Instant) {
	if at > l.now {
		l.now = at
	}
	if l.from == 0 {
		l.from = at
	}
}

// Fold takes the next event.
func (l *Log) Fold(event quota.Event) {
	l.events++
	switch e := event.(type) {
	case *quota.ReservationQueued:
		l.Advance(e.At)
		l.queued(e)
	case *quota.ReservationDequeued:
		l.Advance(e.At)
		l.dequeued(e)
	case *quota.ReservationGranted:
		l.Advance(e.At)
		l.granted(e)
	case *quota.ReservationDenied:
		l.Advance(e.At)
		l.denied(e)
	case *quota.ReservationExtended:
		l.Advance(e.At)
		if j := l.open[e.Reservation]; j != nil {
			j.step(e.At, Step{Extended: e.Amount})
			j.CostHeld += e.CostHeld
		}
	case *quota.UsageRecorded:
		l.Advance(e.At)
		l.used(e)
	case *quota.ReservationClosed:
		l.Advance(e.At)
		l.closed(e)
	default:
		l.events--
	}
}

func (l *Log) queued(e *quota.ReservationQueued) {
	if len(l.open) >= maxOpen {
		return
	}
	l.open[e.Reservation] = &Job{
		Labels: e.Labels, Arrives: e.At, Asked: e.Wish.Amount, MaxWait: e.Until.Sub(e.At), Limit: e.Limit, Preemptible: e.Wish.Preemptible,
	}
}

// dequeued keeps a wait that ended without a grant as refused work. A cancelled one is not wanted any more.
func (l *Log) dequeued(e *quota.ReservationDequeued) {
	j := l.open[e.Reservation]
	if j == nil || e.Outcome == quota.QueueGranted {
		return
	}
	delete(l.open, e.Reservation)
	j.Waited, j.Tries = e.At.Sub(j.Arrives), 1
	if e.Outcome != quota.QueueCancelled {
		l.keep(j)
	}
}

func (l *Log) granted(e *quota.ReservationGranted) {
	j := l.open[e.Reservation]
	if j == nil {
		key := askOf(&e.Labels, e.Amount)
		if j = l.asking[key]; j != nil && e.At.Sub(j.Arrives.Add(j.Waited)) > retryGap {
			j = nil
		}
		if j == nil {
			j = &Job{Arrives: e.At}
			l.keep(j)
		}
		delete(l.asking, key)
	} else {
		l.keep(j)
	}
	j.Labels, j.Asked, j.Granted, j.Live = e.Labels, e.Amount, true, true
	j.Waited, j.Preemptible, j.CostHeld = e.At.Sub(j.Arrives), e.Preemptible, e.CostHeld
	if len(l.open) < maxOpen {
		l.open[e.Reservation] = j
	}
}

func (l *Log) denied(e *quota.ReservationDenied) {
	if e.Reservation != "" || e.Code != quota.CodeInsufficientQuota && e.Code != quota.CodeConcurrentLimitExceeded {
		return // an extension, or a reserve that could never be granted
	}
	key := askOf(&e.Labels, e.Amount)
	j := l.asking[key]
	if j == nil || e.At.Sub(j.Arrives.Add(j.Waited)) > retryGap {
		j = &Job{Labels: e.Labels, Arrives: e.At, Asked: e.Amount}
		if len(l.asking) >= maxOpen {
			clear(l.asking)
		}
		l.asking[key] = j
		l.keep(j)
	}
	j.Tries++
	j.Waited, j.Limit, j.HeldBack = e.At.Sub(j.Arrives), e.Limit, e.Reason == quota.ReasonHeldBack
}

func askOf(l *quota.Labels, amount quota.Amount) ask {
	return ask{l.Principal, l.Agent, l.Provider, l.Model, l.TaskType, amount}
}

func (l *Log) used(e *quota.UsageRecorded) {
	at := e.OccurredAt
	if at == 0 || at > e.At {
		at = e.At
	}
	step := Step{Used: quota.Amount{Tokens: e.Tokens, Requests: e.Requests}}
	j := l.open[e.Reservation]
	if j == nil || e.Reservation == "" {
		if j = l.binOf(&e.Labels, at); j == nil {
			return
		}
		at = j.Arrives // all of a bin is one step
	}
	j.step(at, step)
	j.Cost += e.Cost
	if e.Unpriced {
		j.Unpriced += e.Tokens.Total()
	}
}

// binOf finds the job of usage without a reservation; nil where it is too long ago.
func (l *Log) binOf(labels *quota.Labels, at quota.Instant) *Job {
	if at < l.now.Add(-Days*quota.Day) {
		return nil
	}
	start := at - at%quota.Instant(bin)
	key := binKey{*labels, start}
	j := l.bins[key]
	if j == nil {
		j = &Job{Labels: *labels, Arrives: start, Unreserved: true}
		l.bins[key] = j
		l.keep(j)
		l.from = min(l.from, start) // what was imported of earlier days is whole, too
	}
	return j
}

func (l *Log) closed(e *quota.ReservationClosed) {
	j := l.open[e.Reservation]
	if j == nil {
		return
	}
	delete(l.open, e.Reservation)
	j.Live = false
	j.Lasts = max(0, e.At.Sub(j.Arrives)-j.Waited)
}

// keep adds a job and now and then forgets.
func (l *Log) keep(j *Job) {
	l.jobs = append(l.jobs, j)
	if l.fresh++; l.fresh >= trimEvery {
		l.trim()
	}
}

// trim forgets what is too long ago or too much.
func (l *Log) trim() {
	l.fresh = 0
	slices.SortStableFunc(l.jobs, byArrival)
	first, oldest := 0, l.now.Add(-Days*quota.Day)
	for first < len(l.jobs) && l.jobs[first].Arrives < oldest {
		first++
	}
	if over := len(l.jobs) - MaxJobs; over > first {
		first = over
		l.from = l.jobs[first].Arrives
	}
	l.jobs = slices.Clone(l.jobs[first:])
	for k, j := range l.asking {
		if l.now.Sub(j.Arrives.Add(j.Waited)) > retryGap {
			delete(l.asking, k)
		}
	}
	for k := range l.bins {
		if k.at < l.From() {
			delete(l.bins, k)
		}
	}
}

func byArrival(a, b *Job) int { return cmp.Compare(a.Arrives, b.Arrives) }

// Jobs lists what was wanted from From on, by arrival. Refused work is given what such work usually uses and how long it
// usually takes; open reservations last until now.
func (l *Log) Jobs() []Job {
	l.trim()
	usual := l.usual()
	found := make([]Job, 0, len(l.jobs))
	for _, j := range l.jobs {
		if j.Arrives < l.From() {
			continue
		}
		one := *j
		one.Steps = slices.Clone(j.Steps)
		switch {
		case one.Live:
			one.Lasts = max(0, l.now.Sub(one.Arrives)-one.Waited)
		case !one.Granted && !one.Unreserved:
			u := usual[one.Kind()].or(usual[Kind{}])
			one.Lasts = u.lasts()
			one.Steps = []Step{{After: one.Lasts, Used: u.of(one.Asked)}}
		}
		found = append(found, one)
	}
	return found
}

// usual sums up what work of a kind uses of what it holds.
type usual struct {
	n          int64
	held, used quota.Tokens
	requests   int64
	took       quota.Millis
}

// usual gives that of each kind, and of all under the empty one.
func (l *Log) usual() map[Kind]usual {
	found := map[Kind]usual{}
	for _, j := range l.jobs {
		if !j.Granted || j.Live {
			continue
		}
		used := j.Used()
		for _, k := range []Kind{j.Kind(), {}} {
			u := found[k]
			u.n++
			u.held, u.used = u.held.Add(j.Held().Tokens), u.used.Add(used.Tokens)
			u.requests += used.Requests
			u.took += j.Lasts
			found[k] = u
		}
	}
	return found
}

// enough jobs of a kind tell what is usual.
const enough = 5

func (u usual) or(all usual) usual {
	if u.n >= enough || all.n == 0 {
		return u
	}
	return all
}

func (u usual) lasts() quota.Millis {
	if u.n == 0 {
		return quota.Minute
	}
	return u.took / quota.Millis(u.n)
}

// of scales what was asked for to what is usually used, class by class: reservations hold another mix than is used in the
// end. A class that is never reserved is what such work uses of it in the mean. Where nothing is known, it is all that was
// asked for.
func (u usual) of(asked quota.Amount) quota.Amount {
	if u.n == 0 || u.held.Total() == 0 {
		return asked
	}
	part := func(n, used, held int64) int64 {
		if held == 0 {
			return used / u.n
		}
		return int64(float64(n) * float64(used) / float64(held))
	}
	t := asked.Tokens
	return quota.Amount{
		Tokens: quota.Tokens{
			Input: part(t.Input, u.used.Input, u.held.Input), CacheRead: part(t.CacheRead, u.used.CacheRead, u.held.CacheRead),
			CacheWrite5m: part(t.CacheWrite5m, u.used.CacheWrite5m, u.held.CacheWrite5m),
			CacheWrite1h: part(t.CacheWrite1h, u.used.CacheWrite1h, u.held.CacheWrite1h), Output: part(t.Output, u.used.Output, u.held.Output),
		},
		Requests: max(u.requests/u.n, 1),
	}
}
