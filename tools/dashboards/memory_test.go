//go:build dashboards

package dashboards

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// memory keeps samples for Prometheus' engine.
type memory struct {
	start time.Time
	taken int // scrapes
	all   []*series
}

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// at is when a scrape is taken to have been.
func (m *memory) at(scrape int) time.Time {
	return m.start.Add(time.Duration(scrape) * scrapeInterval)
}

func (m *memory) append(l labels.Labels, at int64, value float64) {
	for _, s := range m.all {
		if labels.Equal(s.labels, l) {
			s.samples = append(s.samples, sample{at, value})
			return
		}
	}
	m.all = append(m.all, &series{l, []chunks.Sample{sample{at, value}}})
}

func (m *memory) matching(matchers []*labels.Matcher) (found []*series) {
	for _, s := range m.all {
		if matches(s.labels, matchers) {
			found = append(found, s)
		}
	}
	return found
}

func matches(l labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// Querier implements storage.Queryable.
func (m *memory) Querier(int64, int64) (storage.Querier, error) {
	return querier{storage.NoopQuerier(), m}, nil
}

type querier struct {
	storage.Querier
	memory *memory
}

// Select implements storage.Querier. The engine leaves out the samples outside of the time it asks for.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	return &set{found: q.memory.matching(matchers), at: -1}
}

// set walks over series.
type set struct {
	found []*series
	at    int
}

func (s *set) Next() bool { s.at++; return s.at < len(s.found) }
func (s *set) At() storage.Series {
	return storage.NewListSeries(s.found[s.at].labels, s.found[s.at].samples)
}
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// sample is a value at a time, in ms.
type sample struct {
	at    int64
	value float64
}

func (s sample) ST() int64                     { return 0 }
func (s sample) T() int64                      { return s.at }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
