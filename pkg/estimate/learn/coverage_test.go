package learn_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/quota"
)

// task is one generated task.
type task struct {
	key  learn.Key
	used int64
}

// tokensPerUSD turns published costs into tokens; only the scale depends on it, and the scale is what is learned.
const tokensPerUSD = 1_000_000

// sweBench draws tasks after the published costs of mini-SWE-agent on SWE-bench Verified: median and 90th percentile in
// USD of four models.
func sweBench(r *rand.Rand, n int) []task {
	models := []struct {
		name     string
		p50, p90 float64
	}{{"claude-sonnet-4-5", .47, .96}, {"claude-sonnet-4", .30, .71}, {"gpt-5", .20, .52}, {"o3", .20, .70}}
	tasks := make([]task, n)
	for i := range tasks {
		m := models[r.IntN(len(models))]
		tasks[i] = drawn(r, estimate.CodeGeneration, m.name, fmt.Sprint("agent-", r.IntN(8)), m.p50, m.p90)
	}
	return tasks
}

// traceLab draws requests after the published measurements of developers' agents: 0.33 USD in the median and 2.44 at the
// 90th percentile, of 43 developers. The sizes of the types relate as published; of the developers nothing is known but
// that they differ, so the whole spread is the request's.
func traceLab(r *rand.Rand, n int) []task {
	types := []struct {
		name  estimate.Type
		ratio float64
	}{{estimate.CodeGeneration, 33. / 33}, {estimate.CodeReview, 26.5 / 33}, {estimate.Documentation, 20. / 33}, {estimate.Analysis, 65. / 33}, {estimate.QuickQuery, 2.75 / 33}}
	tasks := make([]task, n)
	for i := range tasks {
		t := types[r.IntN(len(types))]
		tasks[i] = drawn(r, t.name, []string{"claude", "codex"}[r.IntN(2)], fmt.Sprint("dev-", r.IntN(43)), .33*t.ratio, 2.44*t.ratio)
	}
	return tasks
}

// drawn draws from the log-normal of a median and a 90th percentile in USD.
func drawn(r *rand.Rand, taskType estimate.Type, model, agent string, p50, p90 float64) task {
	const z90 = 1.2816
	usd := p50 * math.Exp(math.Log(p90/p50)/z90*r.NormFloat64())
	labels := quota.Labels{TaskType: string(taskType), Complexity: "medium", Model: model, Agent: agent, Files: []int64{1, 4, 8, 15, 40, 90}[r.IntN(6)]}
	return task{learn.KeyOf(&labels), max(1, int64(usd*tokensPerUSD))}
}

// byEvidence counts coverage by how many tasks of the type came before.
type byEvidence struct{ tasks, covered [5]int }

func (c *byEvidence) add(before int, covered bool) {
	i := 0
	for _, from := range []int{1, 10, 30, 100} {
		if before >= from {
			i++
		}
	}
	c.tasks[i]++
	if covered {
		c.covered[i]++
	}
}

// run has a Book learn tasks one by one; each is scored before it is learned from.
func run(t testing.TB, tasks []task) (learn.Score, *byEvidence, float64) {
	t.Helper()
	b := learn.New(learn.DefaultTarget)
	before := map[string]int{}
	var curve byEvidence
	for _, x := range tasks {
		table := tableOf(t, x.key)
		e, ok := b.Estimate(x.key, table)
		if !ok {
			t.Fatalf("no estimate for %+v", x.key)
		}
		curve.add(before[x.key.TaskType], x.used <= e.Target)
		before[x.key.TaskType]++
		if err := b.Learn(x.key, table, x.used); err != nil {
			t.Fatal(err)
		}
	}
	var sum learn.Score
	for _, s := range b.Scores() {
		sum.Tasks += s.Tasks
		sum.Used += s.Used
		sum.Learned = plus(sum.Learned, s.Learned)
		sum.Table = plus(sum.Table, s.Table)
	}
	return sum, &curve, fittedWaste(t, tasks)
}

func plus(a, b learn.Count) learn.Count {
	return learn.Count{Covered: a.Covered + b.Covered, Waste: a.Waste + b.Waste, Short: a.Short + b.Short}
}

// fittedWaste is what the table would have wasted, had it been multiplied by the one factor that, in hindsight, covers the
// target share of each type at each model, as the learned estimates do.
func fittedWaste(t testing.TB, tasks []task) float64 {
	t.Helper()
	ratios := map[[2]string][]float64{}
	for _, x := range tasks {
		group := [2]string{x.key.TaskType, x.key.Model}
		ratios[group] = append(ratios[group], float64(x.used)/float64(tableOf(t, x.key)))
	}
	factor := 0.0
	for _, r := range ratios {
		slices.Sort(r)
		factor = max(factor, r[int(learn.DefaultTarget*float64(len(r)))])
	}
	waste := 0.0
	for _, x := range tasks {
		waste += max(0, factor*float64(tableOf(t, x.key))-float64(x.used))
	}
	return waste
}

func tableOf(t testing.TB, k learn.Key) int64 {
	t.Helper()
	e, err := estimate.For(estimate.Task{Type: estimate.Type(k.TaskType), Complexity: estimate.Complexity(k.Complexity), Files: estimate.UsualFiles})
	if err != nil {
		t.Fatal(err)
	}
	return e.TotalTokens
}

// TestCoverage holds the promise of the package on generated tasks: out of sample, within 3 points of the target, and
// with less waste than a table that covers each type at each model. Its log is the table of docs/estimates.md.
func TestCoverage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		draw func(*rand.Rand, int) []task
		n    int
	}{{"SWE-bench-like", sweBench, 2000}, {"TraceLab-like", traceLab, 4000}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(3) {
				s, curve, fitted := run(t, row.draw(rand.New(rand.NewPCG(seed, 1)), row.n))
				coverage := float64(s.Learned.Covered) / float64(s.Tasks)
				waste := float64(s.Learned.Waste) / float64(s.Used)
				t.Logf("seed %d: learned covers %.1f %%, waste %.2f of use; table × 1.3 covers %.1f %%, waste %.4f; table fitted in hindsight: waste %.2f",
					seed, 100*coverage, waste, 100*float64(s.Table.Covered)/float64(s.Tasks), float64(s.Table.Waste)/float64(s.Used), fitted/float64(s.Used))
				for i, from := range []string{"0", "1-9", "10-29", "30-99", "100+"} {
					t.Logf("  tasks of the type before: %-5s covered %.1f %% of %d", from, 100*float64(curve.covered[i])/float64(curve.tasks[i]), curve.tasks[i])
				}
				if math.Abs(coverage-learn.DefaultTarget) > 0.03 {
					t.Errorf("seed %d: coverage is %.3f, want within 3 points of %.2f", seed, coverage, learn.DefaultTarget)
				}
				if float64(s.Learned.Waste) >= fitted {
					t.Errorf("seed %d: waste %d, the fitted table wastes %.0f", seed, s.Learned.Waste, fitted)
				}
			}
		})
	}
}
