package whatif

import (
	"fmt"
	"slices"

	"github.com/bursarhq/bursar/pkg/agenda"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/suggestion/internal/workload"
)

const (
	// patience is how long work that was granted asks again, at least.
	patience = quota.Hour
	// Bounds of the pause between two tries.
	leastPause, mostPause = quota.Minute, 30 * quota.Minute
	// sampleEvery is how often it is looked which windows have nothing left.
	sampleEvery = quota.Hour
	// slack is what a lease lasts longer than the work.
	slack = quota.Minute
	// stuck is how many ticks at one instant mean that time does not move on.
	stuck = 100_000
)

// Input is what is replayed.
type Input struct {
	Config quota.Config // in force now
	Prices quota.Prices
	Jobs   []workload.Job // by arrival
	From   quota.Instant  // of the days that are compared
	To     quota.Instant
	// Month gives the price of a plan in micro-USD a month; 0 where it is not known.
	Month func(provider, tier string) int64
}

// replay is one run.
type replay struct {
	in      *Input
	changes []*Change
	state   *quota.State
	now     quota.Instant
	plans   agenda.Agenda[func()]
	runs    []run
	waiting map[string]int // reservations in the queue, and whose run
	out     Result
	days    Days
	api     map[string]bool                   // accounts that cost money by use
	done    map[string]map[workload.Kind]bool // kinds of work by the provider's name
}

// Result is what a replay came to.
type Result struct {
	Days Days
	// Same counts the reserves that ended as they really did, granted or not, of Judged.
	Same, Judged int64
}

// Agreement is how far the replay of what was does what the ledger says, in thousandths.
func (r *Result) Agreement() int64 {
	if r.Judged == 0 {
		return whole
	}
	return r.Same * whole / r.Judged
}

// run is one job under way.
type run struct {
	job         workload.Job
	until       quota.Instant // it asks no more after that
	tries       int
	reservation string
	grantedAt   quota.Instant
	at          int // the next step
}

// Run replays with all the given changes together; without any, it replays what was.
func Run(in *Input, changes ...*Change) Result {
	config := with(in.Config, in.Jobs)
	for _, c := range changes {
		config = c.configure(config)
	}
	r := &replay{in: in, changes: changes, state: quota.NewState(), now: in.From, waiting: map[string]int{}, api: map[string]bool{}, days: newDays(in.From, in.To), done: map[string]map[workload.Kind]bool{}}
	if len(in.Jobs) > 0 {
		r.now = min(r.now, in.Jobs[0].Arrives)
	}
	for _, a := range config.Accounts {
		r.api[a.ID] = a.Kind == quota.KindAPI
	}
	r.days.fee(&config, in)
	r.days.expose(&config, in)
	r.do(quota.ApplyConfig{Config: config})
	r.prepare()
	for at, ok := r.plans.Next(); ok && at <= in.To; at, ok = r.plans.Next() {
		_, _, do := r.plans.Take()
		r.advance(at)
		do()
	}
	r.out.Days = r.days
	return r.out
}

// with adds principals that have gone from the configuration since, so that their work is replayed too.
func with(config quota.Config, jobs []workload.Job) quota.Config {
	known := map[string]bool{}
	for _, p := range config.Principals {
		known[p.Name] = true
	}
	config.Principals = slices.Clone(config.Principals)
	for i := range jobs {
		if l := &jobs[i].Labels; !known[l.Principal] {
			known[l.Principal] = true
			config.Principals = append(config.Principals, quota.Principal{Name: l.Principal, Team: l.Team, MaxPriority: quota.PriorityCritical})
		}
	}
	return config
}

// prepare plans what happens without anybody's doing: jobs arrive, windows are looked at, and opened where the change says so.
func (r *replay) prepare() {
	r.runs = make([]run, len(r.in.Jobs))
	for i, j := range r.in.Jobs {
		if r.done[j.Labels.Provider] == nil {
			r.done[j.Labels.Provider] = map[workload.Kind]bool{}
		}
		r.done[j.Labels.Provider][j.Kind()] = true
		if len(r.changes) > 0 {
			j.Steps = slices.Clone(j.Steps)
		}
		for _, c := range r.changes {
			c.rewrite(&j)
		}
		r.runs[i] = run{job: j, until: j.Arrives.Add(j.Waited)}
		if j.Granted {
			r.runs[i].until = j.Arrives.Add(max(j.Waited, patience))
		}
		r.plan(j.Arrives, func() { r.arrive(i) })
	}
	for at := r.in.From; at < r.in.To; at = at.Add(sampleEvery) {
		r.plan(at, func() { r.days.sample(r.state, at, sampleEvery) })
	}
	for _, c := range r.changes {
		if c.Kind == OpenWindow {
			r.openDaily(c)
		}
	}
}

// openDaily plans a small request at the same minute of each day.
func (r *replay) openDaily(c *Change) {
	who := slices.IndexFunc(r.in.Jobs, func(j workload.Job) bool { return j.Labels.Account == c.Account })
	if who < 0 {
		return
	}
	l := r.in.Jobs[who].Labels
	day := r.in.From - r.in.From%quota.Instant(quota.Day)
	for ; day < r.in.To; day = day.Add(quota.Day) {
		at := day.Add(quota.Millis(c.Amount) * quota.Minute)
		if at < r.in.From {
			continue
		}
		r.plan(at, func() {
			r.do(quota.Report{
				Actor: quota.Actor{Principal: l.Principal, Agent: l.Agent}, Account: l.Account, Model: l.Model,
				Items: []quota.UsageItem{{OccurredAt: at, Tokens: quota.Tokens{Output: 1}, Requests: 1}},
			})
		})
	}
}

func (r *replay) plan(at quota.Instant, do func()) {
	r.plans.Add(at, do)
}

// advance lets time pass, with everything that is due on the way at its own time.
func (r *replay) advance(at quota.Instant) {
	for range stuck {
		due := r.state.NextDue()
		if due == 0 || due > at {
			break
		}
		r.now = max(r.now, due)
		r.do(quota.Tick{})
	}
	r.now = max(r.now, at)
}

// do decides a command, applies it, and counts.
func (r *replay) do(c quota.Command) quota.Result {
	events, result := quota.Decide(r.state, c, quota.Env{Now: r.now, Prices: r.in.Prices})
	for _, e := range events {
		quota.Apply(r.state, e)
		r.saw(e)
	}
	return result
}

// saw counts an event and wakes whose turn in the queue has come.
func (r *replay) saw(event quota.Event) {
	switch e := event.(type) {
	case *quota.UsageRecorded:
		r.days.used(e, r.api[e.Labels.Account])
	case *quota.ReservationClosed:
		r.days.closed(e)
	case *quota.ReservationGranted:
		if i, ok := r.waiting[e.Reservation]; ok {
			delete(r.waiting, e.Reservation)
			r.plan(r.now, func() {
				r.do(quota.Report{Actor: r.actor(&r.runs[i]), Reservation: r.runs[i].reservation}) // the sign of life that such a grant needs
				r.granted(i)
			})
		}
	case *quota.ReservationDequeued:
		if i, ok := r.waiting[e.Reservation]; ok && e.Outcome != quota.QueueGranted {
			delete(r.waiting, e.Reservation)
			r.giveUp(i)
		}
	}
}

// arrive asks for a job's reservation, or records usage that never had one.
func (r *replay) arrive(i int) {
	u := &r.runs[i]
	own := r.own(&u.job)
	tries := append(r.better(&u.job), own)
	var result quota.Result
	for n, account := range tries {
		if u.job.Unreserved && n == len(tries)-1 {
			r.record(i)
			return
		}
		u.tries++
		u.reservation = fmt.Sprintf("%d/%d", i, u.tries)
		command := r.reserve(u, account)
		if n < len(tries)-1 {
			command.MaxWait = 0 // it waits for its own account, if at all
		}
		if result = r.do(command); result.OK() {
			break
		}
	}
	switch {
	case result.OK() && result.Queue != nil:
		r.waiting[u.reservation] = i
	case result.OK():
		r.granted(i)
	default:
		r.refused(i, &result)
	}
}

// own is the account that a job was charged to; empty where any of the provider would do.
func (r *replay) own(j *workload.Job) string {
	if j.Granted || j.Unreserved {
		return j.Labels.Account
	}
	return ""
}

// better lists the accounts that the changes have a job try first.
func (r *replay) better(j *workload.Job) (accounts []string) {
	for _, c := range r.changes {
		switch {
		case c.Kind == PreferAccount && j.Labels.Account == c.Account && r.suits(j, c.Target):
			accounts = append(accounts, c.Target)
		case c.Kind == AddAccounts && j.Labels.Provider == c.Provider && (r.api[j.Labels.Account] || !j.Granted && !j.Unreserved):
			accounts = append(accounts, c.added()...)
		}
	}
	return accounts
}

// suits tells whether a job may go to another account: of another provider only where such work is done there already.
func (r *replay) suits(j *workload.Job, account string) bool {
	target, ok := r.state.Config.Account(account)
	return ok && (target.Provider == j.Labels.Provider || j.Labels.TaskType != "" && r.done[target.Provider][j.Kind()])
}

func (r *replay) reserve(u *run, account string) quota.Reserve {
	j := &u.job
	asked := j.Asked
	if j.Unreserved {
		asked = j.Used()
	}
	c := quota.Reserve{
		Actor: quota.Actor{Principal: j.Labels.Principal, Agent: orElse(j.Labels.Agent, "agent")}, Reservation: u.reservation, Account: account,
		Provider: j.Labels.Provider, Model: orElse(j.Labels.Model, "model"), TaskType: j.Labels.TaskType, Priority: j.Labels.Priority,
		Amount: asked, MaxWait: j.MaxWait, Preemptible: j.Preemptible, Lifetime: j.Lasts + slack, Lease: j.Lasts + slack,
	}
	if account != "" {
		c.Provider = ""
	}
	return c
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// refused has a job ask again, or give up.
func (r *replay) refused(i int, result *quota.Result) {
	u := &r.runs[i]
	next := r.now.Add(min(max(result.RetryAfter, leastPause), mostPause))
	if !result.Retryable || next > u.until {
		r.giveUp(i)
		return
	}
	r.days.at(r.now).Refusals++
	r.plan(next, func() { r.arrive(i) })
}

func (r *replay) judge(same bool) {
	r.out.Judged++
	if same {
		r.out.Same++
	}
}

func (r *replay) giveUp(i int) {
	u := &r.runs[i]
	r.judge(!u.job.Granted)
	day := r.days.at(u.job.Arrives)
	day.Refusals++
	day.Denied++
	used := u.job.Used()
	if rate, ok := r.in.Prices.Rate(u.job.Labels.Model, u.job.Arrives, false); ok {
		day.DeniedWorth += rate.Cost(used.Tokens)
	}
}

// granted begins the work.
func (r *replay) granted(i int) {
	u := &r.runs[i]
	if !u.job.Unreserved {
		r.judge(u.job.Granted)
	}
	u.grantedAt = r.now
	day := r.days.at(u.job.Arrives)
	day.Granted++
	day.Waited += r.now.Sub(u.job.Arrives)
	r.next(i)
}

func (r *replay) actor(u *run) quota.Actor {
	return quota.Actor{Principal: u.job.Labels.Principal, Agent: orElse(u.job.Labels.Agent, "agent")}
}

// next plans a job's next step, or its end.
func (r *replay) next(i int) {
	u := &r.runs[i]
	if u.at == len(u.job.Steps) {
		r.plan(u.grantedAt.Add(u.job.Lasts), func() { r.do(quota.Settle{Actor: r.actor(u), Reservation: u.reservation}) })
		return
	}
	r.plan(u.grantedAt.Add(u.job.Steps[u.at].After), func() {
		step := u.job.Steps[u.at]
		u.at++
		if step.Extended != (quota.Amount{}) {
			r.do(quota.Extend{Actor: r.actor(u), Reservation: u.reservation, Amount: step.Extended})
		}
		if step.Used != (quota.Amount{}) {
			r.do(quota.Report{Actor: r.actor(u), Reservation: u.reservation, Account: u.job.Labels.Account, Items: []quota.UsageItem{
				{OccurredAt: r.now, Tokens: step.Used.Tokens, Requests: step.Used.Requests},
			}})
		}
		r.next(i)
	})
}

// record books usage without a reservation.
func (r *replay) record(i int) {
	u := &r.runs[i]
	used := u.job.Used()
	r.do(quota.Report{
		Actor: r.actor(u), Account: u.job.Labels.Account, Model: orElse(u.job.Labels.Model, "model"),
		Items: []quota.UsageItem{{OccurredAt: r.now, Tokens: used.Tokens, Requests: used.Requests}},
	})
}
