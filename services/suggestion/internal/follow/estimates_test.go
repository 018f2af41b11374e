package follow

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/suggestion/internal/scene"
)

// Settled tasks are learned from once, also by a process that comes after and is handed the same range again.
func TestTasksAreLearnedFromOnce(t *testing.T) {
	t.Parallel()
	w, l := newWorld(t), scene.New(t, 1)
	subject := wire.KeySubject(wire.BucketLedger, "one")
	r := bus.Range{Messages: []bus.Record{
		{Subject: subject, Data: l.Encoded(l.Configured())}, {Subject: subject, Data: l.Encoded(l.Oversized(40)...)},
	}}
	for _, life := range []string{"first", "second"} {
		if err := w.follower(w.keeper).handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		b, revision, err := w.keeper.LoadEstimates(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		e, ok := b.Estimate(learn.KeyOf(&quota.Labels{TaskType: "analysis"}), 12_000)
		if !ok || e.Ground.N != 40 || b.Number() != 2 || revision != 1 {
			t.Errorf("%s life: %+v as of commit %d, revision %d; want 40 tasks as of 2, saved once", life, e, b.Number(), revision)
		}
		if e.Median < 900 || e.Median > 1100 {
			t.Errorf("%s life: the median is %d, each task used 1,000", life, e.Median)
		}
	}
	more := bus.Range{Messages: []bus.Record{{Subject: subject, Data: l.Encoded(l.Oversized(5)...)}}}
	if err := w.follower(w.keeper).handle(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	b, _, err := w.keeper.LoadEstimates(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	for _, taskType := range []string{"analysis", ""} {
		m := &w.metrics.estimates
		if tasks, waste := testutil.ToFloat64(m.tasks.WithLabelValues("one", taskType)), testutil.ToFloat64(m.waste.WithLabelValues("one", taskType, "estimate")); tasks != 45 || waste <= 0 {
			t.Errorf("type %q: the metrics tell of %g tasks and waste %g", taskType, tasks, waste)
		}
	}
	if s := b.Scores()["analysis"]; s.Tasks != 45 || b.Number() != 3 {
		t.Errorf("%d tasks as of commit %d, want 45 as of 3", s.Tasks, b.Number())
	}
}

func TestUnreadableEstimatesBeginAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kv, err := w.js.KeyValue(t.Context(), wire.BucketEstimates)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "one", []byte("from the future")); err != nil {
		t.Fatal(err)
	}
	w.play(0, false)
	b, _, err := w.keeper.LoadEstimates(t.Context(), "one")
	if err != nil || b.Scores()["analysis"].Tasks != 8 {
		t.Errorf("learned %+v, %v; want 8 tasks", b.Scores(), err)
	}
}
