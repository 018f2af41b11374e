//go:build testdata

package cli

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/realdata"
	"github.com/bursarhq/bursar/services/cli/internal/trace"
	"github.com/bursarhq/bursar/services/cli/internal/work"
)

// recorded reads a trace as the jobs that a replay makes of it.
func recorded(t *testing.T, format trace.Format, path ...string) []work.Job {
	t.Helper()
	read, err := trace.ReadFiles(t.Context(), format, []string{realdata.Path(t, path...)}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return work.FromTrace(read, work.PatternOf(format))
}

// labelsOf is what a reservation of the job says of itself.
func labelsOf(j *work.Job) *quota.Labels {
	return &quota.Labels{TaskType: string(j.TaskType), Complexity: string(j.Complexity), Model: j.Model, Agent: j.Agent}
}

// TestEstimatesOnRecordedTraces learns recorded traces in their order of time, each call estimated before it is learned
// from, and holds the coverage over all of them to 3 points around the target. Its log is in docs/estimates.md.
func TestEstimatesOnRecordedTraces(t *testing.T) {
	t.Parallel()
	code := recorded(t, trace.Azure, "traces", "azure", "AzureLLMInferenceTrace_code.dev.csv")
	for i := range code {
		code[i].TaskType = "code_generation"
	}
	chat := recorded(t, trace.Azure, "traces", "azure", "AzureLLMInferenceTrace_conv.dev.csv")
	mooncake := recorded(t, trace.Mooncake, "traces", "mooncake", "conversation_trace.dev.jsonl")
	synthetic := recorded(t, trace.Mooncake, "traces", "mooncake", "synthetic_trace.dev.jsonl")
	session := recorded(t, trace.ClaudeCode, "transcripts", "tracelab", "claude_session.jsonl")
	for _, row := range []struct {
		name string
		jobs []work.Job
		few  bool // too few to hold to the target
	}{
		{"Azure code", code, false}, {"Azure chat", chat, false}, {"Mooncake chat", mooncake, false}, {"Mooncake synthetic", synthetic, false},
		{"the three real ones together", slices.Concat(code, chat, mooncake), false}, {"Claude Code session", session, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			slices.SortStableFunc(row.jobs, func(x, y work.Job) int { return cmp.Compare(x.At, y.At) })
			b := learn.New(learn.DefaultTarget)
			var ratios []float64
			for i := range row.jobs {
				labels, used := labelsOf(&row.jobs[i]), row.jobs[i].Used()
				if used.Total() <= 0 {
					continue
				}
				if err := b.Learn(learn.KeyOf(labels), learn.Table(labels), used); err != nil {
					t.Fatal(err)
				}
				ratios = append(ratios, float64(used.Total())/float64(learn.Table(labels)))
			}
			sum := learn.Sum(b.Scores())
			covered := float64(sum.Learned.Covered) / float64(sum.Tasks)
			t.Logf("%d calls: covered %.1f %%, waste %.2f, short %.2f of use; table × 1.3 covers %.1f %%, wastes %.2f; table × one factor of the same coverage wastes %.2f",
				sum.Tasks, 100*covered, part(sum.Learned.Waste, sum.Used), part(sum.Learned.Short, sum.Used), 100*part(sum.Table.Covered, sum.Tasks),
				part(sum.Table.Waste, sum.Used), factorWaste(row.jobs, ratios, covered))
			t.Logf("  loss %.3f of use, table × 1.3 %.3f", sum.Learned.Loss(learn.DefaultTarget)/float64(sum.Used), sum.Table.Loss(learn.DefaultTarget)/float64(sum.Used))
			if mine, theirs := sum.Learned.Loss(learn.DefaultTarget), sum.Table.Loss(learn.DefaultTarget); !row.few && mine >= theirs {
				t.Errorf("the loss is %.0f tokens, that of the table × 1.3 %.0f", mine, theirs)
			}
			for name, s := range b.Scores() {
				t.Logf("  %s: covered %.1f %% of %d, waste %.2f", name, 100*part(s.Learned.Covered, s.Tasks), s.Tasks, part(s.Learned.Waste, s.Used))
			}
			if !row.few && math.Abs(covered-learn.DefaultTarget) > 0.03 {
				t.Errorf("coverage is %.3f, want within 3 points of %.2f", covered, learn.DefaultTarget)
			}
		})
	}
}

func part(a, b int64) float64 { return float64(a) / float64(b) }

// factorWaste is what the table wastes with the one factor that covers a share of all in hindsight, as a part of use.
func factorWaste(jobs []work.Job, ratios []float64, share float64) float64 {
	slices.Sort(ratios)
	factor := ratios[min(len(ratios)-1, int(share*float64(len(ratios))))]
	var waste, used float64
	for i := range jobs {
		n := float64(jobs[i].Used().Total())
		waste, used = waste+max(0, factor*float64(learn.Table(labelsOf(&jobs[i])))-n), used+n
	}
	return waste / used
}
