package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/writer"
)

const (
	standingGroup  = 64     // requests of one commit
	standingRounds = 160    // of reserves and of releases in one measurement
	standingAgents = 100    // among whom what stands is spread
	standingStep   = 1000   // reservations that are made in one commit before it is measured
	fullAccount    = "full" // what waits, waits for this one
)

// Standing is what one decision costs the writer while reservations are open and requests wait: to decide it, apply it and
// put it into a commit of 64 decisions. Clients, NATS and the store are left out, as they know nothing of what stands and
// would hide what the writer takes more.
type Standing struct {
	Live   int `json:"live"`
	Queued int `json:"queued"`
	// Lent are those of Live that borrow from a floor. Where there are some, its owner asks for them back: it is queued, one
	// of them is told to give back, is closed after the grace, and its place is taken again; see [desk.reclaim].
	Lent        int     `json:"lent"`
	ProcessorUS float64 `json:"processor_us"` // of one decision, the median over the repetitions
	Allocations float64 `json:"allocations"`
	// Relative compares the processor time with that of the first row: 1 means that it is flat. It is a median of
	// pairs within a repetition.
	Relative float64 `json:"relative"`
}

// MeasureStanding measures in turns with each number of live and of queued reservations.
func MeasureStanding(ctx context.Context, o Options) ([]Standing, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	found := []Standing{
		{Live: 10}, {Live: 1000}, {Live: 10_000}, {Live: 10, Queued: 1000}, {Live: 10_000, Queued: 1000},
		{Live: 1000, Lent: 1000}, {Live: 10_000, Lent: 10_000},
	}
	desks := make([]*desk, len(found))
	for i, at := range found {
		var err error
		if desks[i], err = newDesk(at); err != nil {
			return nil, fmt.Errorf("%d live and %d queued: %w", at.Live, at.Queued, err)
		}
	}
	costs := make([][]cost, o.Repetitions)
	for repetition := range costs {
		for i, d := range desks {
			if err := ctx.Err(); err != nil {
				return nil, fmt.Errorf("benchmark interrupted: %w", err)
			}
			one, err := d.measure()
			if err != nil {
				return nil, fmt.Errorf("%d live and %d queued: %w", found[i].Live, found[i].Queued, err)
			}
			costs[repetition] = append(costs[repetition], one)
		}
	}
	for i := range found {
		at := func(value func(c []cost) float64) float64 { return median(costs, value) }
		found[i].ProcessorUS = at(func(c []cost) float64 { return float64(c[i].processor) / float64(time.Microsecond) })
		found[i].Allocations = at(func(c []cost) float64 { return c[i].allocs })
		found[i].Relative = at(func(c []cost) float64 { return float64(c[i].processor) / float64(c[0].processor) })
	}
	return found, nil
}

// desk is a writer whose runtime and store are played by hand.
type desk struct {
	w        *writer.Writer
	now      writer.Time
	made     uint64
	revision uint64
	fault    error
	turn     func() // a group of decisions that leaves as much standing as before
	perTurn  int64  // decisions that are answered in it
}

// newDesk gives a writer that serves, with so much standing, and warm: as many reservations are closed as are kept.
func newDesk(at Standing) (*desk, error) {
	d := &desk{now: writer.Time{Wall: quota.InstantOf(time.Now()), Mono: time.Hour}}
	d.turn, d.perTurn = d.reserveAndRelease, 2*standingGroup
	setup, err := standingConfig(at)
	if err != nil {
		return nil, err
	}
	prices, err := price.Default()
	if err != nil {
		return nil, err
	}
	var ids uint64
	d.w = writer.New(writer.Options{
		Name:   "bench",
		NewID:  func() ledger.ID { ids++; return ledger.ID{byte(ids), byte(ids >> 8), byte(ids >> 16), 1} },
		Prices: func(*quota.Config) quota.Prices { return prices }, KeyframeCommits: 1 << 40, KeyframeBytes: 1 << 60,
	})
	d.elect()
	d.round([]writer.Request{d.request(0, quota.ApplyConfig{Actor: quota.Actor{Principal: benchPrincipal}, Config: *setup})}, "")
	d.fill(at.Live-at.Lent, benchAccount, 0)
	if at.Lent > 0 {
		d.turn, d.perTurn = d.reclaim, 3*standingGroup
		d.fill(at.Lent, lentAccount, 0)
	}
	if at.Queued > 0 {
		d.fill(1, fullAccount, 0)
		d.fill(at.Queued, fullAccount, quota.Hour)
	}
	if live := d.w.State().Live(); d.fault == nil && live != at.Live+min(at.Queued, 1) {
		d.fault = fmt.Errorf("%d reservations are live", live)
	}
	for range quota.DefaultPolicy().ClosedKept/standingGroup + 1 {
		d.turn()
	}
	return d, d.fault
}

// standingConfig is the configuration of the benchmark with an account that serves one reservation at a time, and one whose
// floor is lent out.
func standingConfig(at Standing) (*quota.Config, error) {
	parsed, err := config.Parse("bench.yaml", benchYAML)
	if err != nil {
		return nil, err
	}
	c := parsed.Quota
	c.Accounts = append(c.Accounts, quota.Account{ID: fullAccount, Provider: c.Accounts[0].Provider, Kind: quota.KindAPI})
	c.Limits = append(c.Limits, quota.Limit{
		ID: fullAccount + "/one", Name: "one", Scope: quota.Scope{Account: fullAccount}, Unit: quota.UnitRequests, Capacity: 1,
		Window: quota.Window{Kind: quota.WindowConcurrent},
	})
	addLent(&c, at.Lent)
	return &c, nil
}

// elect brings the writer to serve an empty ledger.
func (d *desk) elect() {
	d.w.Step(d.now, writer.Elect{})
	for _, a := range d.w.Step(d.now, writer.Loaded{Ledger: ledger.New()}) {
		claim, ok := a.(writer.Publish)
		if !ok {
			continue
		}
		d.revision = 1
		stored := []ledger.Entry{{Revision: 1, Data: claim.Data, Stored: d.now.Wall.Time()}}
		for _, a := range d.w.Step(d.now, writer.PublishOutcome{Attempt: claim.Attempt, Verdict: writer.Acked, Revision: 1}) {
			if read, ok := a.(writer.Read); ok {
				d.w.Step(d.now, writer.ReadOutcome{Read: read.Read, Entries: stored})
				return
			}
		}
	}
}

// fill reserves on an account and leaves it open; with a wait, the reserves may be queued.
func (d *desk) fill(n int, account string, wait quota.Millis) {
	for n > 0 {
		requests := make([]writer.Request, min(n, standingStep))
		for i := range requests {
			_, requests[i] = d.reserve(i, account, wait)
		}
		d.round(requests, quota.CodeOK)
		n -= len(requests)
	}
}

// measure gives the cost of a decision.
func (d *desk) measure() (cost, error) {
	before, err := measureUsage()
	if err != nil {
		return cost{}, err
	}
	for range standingRounds {
		d.turn()
	}
	after, err := measureUsage()
	return after.since(before).over(standingRounds * d.perTurn), errors.Join(err, d.fault)
}

// reserveAndRelease reserves once for each of a group of agents and releases again.
func (d *desk) reserveAndRelease() {
	reserves, releases := make([]writer.Request, standingGroup), make([]writer.Request, standingGroup)
	for i := range reserves {
		var id string
		id, reserves[i] = d.reserve(i, benchAccount, 0)
		releases[i] = d.request(i, quota.Release{Actor: actorOf(i), Reservation: id})
	}
	d.round(reserves, quota.CodeOK)
	d.round(releases, quota.CodeOK)
}

func actorOf(i int) quota.Actor {
	return quota.Actor{Principal: benchPrincipal, Agent: fmt.Sprintf("agent-%d", i%standingAgents)}
}

func (d *desk) reserve(agent int, account string, wait quota.Millis) (id string, r writer.Request) {
	c := d.reserving(actorOf(agent), account, wait)
	c.Preemptible = account == lentAccount
	return c.Reservation, d.request(agent, c)
}

func (d *desk) reserving(by quota.Actor, account string, wait quota.Millis) quota.Reserve {
	return quota.Reserve{
		Actor: by, Reservation: fmt.Sprintf("01936f3e-9d7c-7e5a-8a1b-%012d", d.made), Account: account, Model: "claude-haiku-4-5",
		TaskType: "code_review", MaxWait: wait,
		Amount: quota.Amount{Tokens: quota.Tokens{Input: reserveAmount / 2, Output: reserveAmount / 2}},
	}
}

func (d *desk) request(agent int, cmd quota.Command) writer.Request {
	return d.asking(actorOf(agent), cmd)
}

func (d *desk) asking(by quota.Actor, cmd quota.Command) writer.Request {
	d.made++
	id := fmt.Sprintf("01936f3e-9d7c-7e5a-8a1c-%012d", d.made)
	return writer.Request{
		Token: writer.Token(d.made), Actor: by, Key: ledger.KeyOf(by.Principal, id), Params: ledger.ParamsOf([]byte(id)),
		IssuedAt: d.now.Wall, Command: cmd,
	}
}

// round submits a group and acknowledges what comes of it. The first fault ends all further ones.
func (d *desk) round(requests []writer.Request, want quota.Code) {
	d.now.Mono += time.Millisecond
	d.now.Wall++
	answered := 0
	actions := d.w.Step(d.now, writer.Submit{Requests: requests})
	for d.fault == nil && answered < len(requests) {
		var sent *writer.Publish
		for _, a := range actions {
			switch a := a.(type) {
			case writer.Publish:
				sent = &a
			case *writer.Reply:
				if answered++; a.Result.Code != want {
					d.fault = fmt.Errorf("a request is answered %q: %s", a.Result.Code, a.Result.Message)
				}
			}
		}
		if sent == nil {
			break
		}
		d.revision++
		actions = d.w.Step(d.now, writer.PublishOutcome{Attempt: sent.Attempt, Verdict: writer.Acked, Revision: d.revision})
	}
	if d.fault == nil && answered < len(requests) {
		d.fault = fmt.Errorf("%d of %d requests are answered", answered, len(requests))
	}
}

func writeStanding(out io.Writer, rows []Standing) {
	fmt.Fprintln(out, "a decision in the writer while reservations are open and others wait; where some are lent, their owner takes them back")
	t := newTable(out, table.Row{"live", "queued", "lent", "CPU µs", "of the first", "allocs"}, 1, 2, 3, 4, 5, 6)
	for _, s := range rows {
		t.AppendRow(table.Row{s.Live, s.Queued, s.Lent, fmt.Sprintf("%.2f", s.ProcessorUS), fmt.Sprintf("%.2f", s.Relative), fmt.Sprintf("%.0f", s.Allocations)})
	}
	t.Render()
}
