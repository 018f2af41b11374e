// Package usage answers what was spent over time and by whom: a summary, and a history of each of the largest spenders,
// asked of analytics; and when limits are likely to run out.
//
// It guarantees that the parts of each interval and the rest add up to its total, that the same question of several
// pages is asked once within [Fresh], and that no more than a few questions run at once. Callers must tolerate that the
// answer is as old as that, and that parts of the present interval are from moments that differ a little.
package usage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bursarhq/bursar/pkg/wire"
)

// Fresh is how long an answer is given again, FreshForecast how long a forecast: it reads weeks, and tells of hours.
const (
	Fresh         = 5 * time.Second
	FreshForecast = 30 * time.Second
)

// Bounds.
const (
	maxSeries = 5  // spenders with a history of their own
	maxShown  = 20 // spenders of the breakdown
	atOnce    = 3  // questions to analytics
)

// Broker answers queries; *client.Client does.
type Broker interface {
	Summary(ctx context.Context, r wire.SummaryRequest) (*wire.SummaryReply, error)
	History(ctx context.Context, r wire.HistoryRequest) (*wire.HistoryReply, error)
	Forecast(ctx context.Context, r wire.ForecastRequest) (*wire.ForecastReply, error)
}

// Question is what a page asks.
type Question struct {
	Timeframe string // one of Timeframes
	By        string // one of Dimensions
	Zone      string // IANA time zone of the viewer; empty means UTC
}

// Timeframes are the spans that may be asked for, with their intervals.
func Timeframes() map[string]string {
	return map[string]string{"24h": wire.IntervalHour, "7d": wire.IntervalHour, "30d": wire.IntervalDay, "90d": wire.IntervalDay}
}

// dimension is one way to break usage down.
type dimension struct {
	slices func(*wire.SummaryReply) []wire.Slice
	narrow func(*wire.Scope, string)
}

func dimensions() map[string]dimension {
	return map[string]dimension{
		"provider": {func(r *wire.SummaryReply) []wire.Slice { return r.Providers }, func(s *wire.Scope, n string) { s.Provider = n }},
		"account":  {func(r *wire.SummaryReply) []wire.Slice { return r.Accounts }, func(s *wire.Scope, n string) { s.Account = n }},
		"team":     {func(r *wire.SummaryReply) []wire.Slice { return r.Teams }, func(s *wire.Scope, n string) { s.Team = n }},
		"agent":    {func(r *wire.SummaryReply) []wire.Slice { return r.Agents }, func(s *wire.Scope, n string) { s.Agent = n }},
		"model":    {func(r *wire.SummaryReply) []wire.Slice { return r.Models }, func(s *wire.Scope, n string) { s.Model = n }},
		"task":     {func(r *wire.SummaryReply) []wire.Slice { return r.TaskTypes }, func(s *wire.Scope, n string) { s.TaskType = n }},
	}
}

// Validate returns an error that matches wire.ErrInvalid and says what may be asked.
func (q Question) Validate() error {
	if _, ok := Timeframes()[q.Timeframe]; !ok {
		return fmt.Errorf("%w: timeframe is not one of 24h, 7d, 30d and 90d", wire.ErrInvalid)
	}
	if _, ok := dimensions()[q.By]; !ok {
		return fmt.Errorf("%w: by is not one of provider, account, team, agent, model and task", wire.ErrInvalid)
	}
	return nil
}

// Answer is usage over time.
type Answer struct {
	From     wire.Time `json:"from"`
	To       wire.Time `json:"to"`
	Zone     string    `json:"zone"`
	Through  wire.Time `json:"through,omitzero"` // analytics has stored everything up to then
	Interval string    `json:"interval"`
	// Starts are the begins of the intervals; each series has a point for each.
	Starts    []wire.Time    `json:"starts"`
	Series    []Series       `json:"series"` // the largest spenders first, then the rest
	Totals    wire.Spent     `json:"totals"`
	Slices    []wire.Slice   `json:"slices"`      // the breakdown, the largest first
	More      int            `json:"more_slices"` // that are not listed
	Decisions wire.Decisions `json:"decisions"`
}

// Series is what one spender spent in each interval.
type Series struct {
	Name   string  `json:"name"`          // empty where the usage names none
	Rest   bool    `json:"rest,omitzero"` // everything that no other series has
	Tokens []int64 `json:"tokens"`
	Cost   []int64 `json:"cost_micro_usd"`
}

// Desk answers questions. It is safe for concurrent use.
type Desk struct {
	broker    Broker
	slots     chan struct{}
	answers   *cache[Question, *Answer]
	forecasts *cache[string, *wire.ForecastReply]
}

// NewDesk makes a desk that asks a broker.
func NewDesk(broker Broker, now func() time.Time) *Desk {
	return &Desk{
		broker: broker, slots: make(chan struct{}, atOnce),
		answers: newCache[Question, *Answer](Fresh, now), forecasts: newCache[string, *wire.ForecastReply](FreshForecast, now),
	}
}

// Ask answers a question. Errors: wire.ErrInvalid, and those of the broker.
func (d *Desk) Ask(ctx context.Context, q Question) (*Answer, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return d.answers.ask(ctx, q, func(ctx context.Context) (*Answer, error) { return d.make(ctx, q) })
}

// Forecast tells when limits are likely to run out, by the hours of a zone. Errors: those of the broker.
func (d *Desk) Forecast(ctx context.Context, zone string) (*wire.ForecastReply, error) {
	return d.forecasts.ask(ctx, zone, func(ctx context.Context) (*wire.ForecastReply, error) {
		return limited(d, func() (*wire.ForecastReply, error) { return d.broker.Forecast(ctx, wire.ForecastRequest{Zone: zone}) })
	})
}

// make asks analytics: first who spent the most, then the history of each of them.
func (d *Desk) make(ctx context.Context, q Question) (*Answer, error) {
	scope := wire.Scope{Timeframe: q.Timeframe, Zone: q.Zone}
	by := dimensions()[q.By]
	summary, err := limited(d, func() (*wire.SummaryReply, error) { return d.broker.Summary(ctx, wire.SummaryRequest{Scope: scope}) })
	if err != nil {
		return nil, fmt.Errorf("ask for the summary: %w", err)
	}
	// Everything else is asked for the very time of the summary, so that the intervals are the same.
	scope = wire.Scope{From: summary.From, To: summary.To, Zone: q.Zone}
	all := by.slices(summary)
	var names []string
	for i := range all {
		if all[i].Name != "" && len(names) < maxSeries {
			names = append(names, all[i].Name)
		}
	}
	total, parts, err := d.histories(ctx, scope, by, Timeframes()[q.Timeframe], names)
	if err != nil {
		return nil, err
	}
	a := &Answer{
		From: summary.From, To: summary.To, Zone: summary.Zone, Through: summary.Through, Interval: total.Interval,
		Totals: summary.Totals, Decisions: summary.Decisions, Slices: slices.Clone(all[:min(len(all), maxShown)]), More: max(0, len(all)-maxShown),
	}
	if a.Slices == nil {
		a.Slices = []wire.Slice{}
	}
	a.fill(total, names, parts)
	return a, nil
}

// histories asks for the history of everything and of each name.
func (d *Desk) histories(ctx context.Context, scope wire.Scope, by dimension, interval string, names []string) (total *wire.HistoryReply, parts []*wire.HistoryReply, err error) {
	replies, errs := make([]*wire.HistoryReply, len(names)+1), make([]error, len(names)+1)
	var asked sync.WaitGroup
	for i := range replies {
		asked.Go(func() {
			request := wire.HistoryRequest{Scope: scope, Interval: interval}
			if i > 0 {
				by.narrow(&request.Scope, names[i-1])
			}
			replies[i], errs[i] = limited(d, func() (*wire.HistoryReply, error) { return d.broker.History(ctx, request) })
		})
	}
	asked.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, nil, fmt.Errorf("ask for the history: %w", err)
		}
	}
	return replies[0], replies[1:], nil
}

// limited asks when there is a slot.
func limited[Reply any](d *Desk, ask func() (Reply, error)) (Reply, error) {
	d.slots <- struct{}{}
	defer func() { <-d.slots }()
	return ask()
}

// fill turns histories into series, with what remains of the total as the last.
func (a *Answer) fill(total *wire.HistoryReply, names []string, parts []*wire.HistoryReply) {
	n := len(total.Points)
	a.Starts, a.Series = make([]wire.Time, n), []Series{}
	place := make(map[wire.Time]int, n)
	rest := Series{Rest: true, Tokens: make([]int64, n), Cost: make([]int64, n)}
	for i := range total.Points {
		p := &total.Points[i]
		a.Starts[i], place[p.From] = p.From, i
		rest.Tokens[i], rest.Cost[i] = p.TotalTokens, p.CostMicroUSD
	}
	for k, part := range parts {
		s := Series{Name: names[k], Tokens: make([]int64, n), Cost: make([]int64, n)}
		for i := range part.Points {
			p := &part.Points[i]
			at, ok := place[p.From]
			if !ok {
				continue
			}
			// A part may have been read after the total, with more in it: then the rest is nothing.
			s.Tokens[at], s.Cost[at] = min(p.TotalTokens, rest.Tokens[at]), min(p.CostMicroUSD, rest.Cost[at])
			rest.Tokens[at] -= s.Tokens[at]
			rest.Cost[at] -= s.Cost[at]
		}
		a.Series = append(a.Series, s)
	}
	for i := range n {
		if rest.Tokens[i] > 0 || rest.Cost[i] > 0 {
			a.Series = append(a.Series, rest)
			return
		}
	}
}
