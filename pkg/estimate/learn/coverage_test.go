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

// outcome is what became of a run.
type outcome struct {
	learn.Score
	types map[string]learn.Score
	curve byEvidence
	// How often a task asks, if it extends by as much as it was estimated until it is done.
	learnedAsks, tableAsks int64
}

func loss(c *learn.Count, used int64) float64 { return c.Loss(learn.DefaultTarget) / float64(used) }

// asks is how often a task asks for so much until it has what it uses.
func asks(used, each int64) int64 { return (used + each - 1) / each }

func (o *outcome) coverage() float64 { return part(o.Learned.Covered, o.Tasks) }
func (o *outcome) waste() float64    { return part(o.Learned.Waste, o.Used) }

func part(a, b int64) float64 { return float64(a) / float64(b) }

// run has a Book learn tasks one by one; each is scored before it is learned from.
func run(t testing.TB, tasks []task) *outcome {
	t.Helper()
	b := learn.New(learn.DefaultTarget)
	before := map[string]int{}
	var o outcome
	for _, x := range tasks {
		table := tableOf(t, x.key)
		e, ok := b.Estimate(x.key, table)
		if !ok {
			t.Fatalf("no estimate for %+v", x.key)
		}
		o.curve.add(before[x.key.TaskType], x.used <= e.Target)
		before[x.key.TaskType]++
		o.learnedAsks += asks(x.used, e.Target)
		o.tableAsks += asks(x.used, estimate.Conservative(table))
		if err := b.Learn(x.key, table, quota.Tokens{Output: x.used}); err != nil {
			t.Fatal(err)
		}
	}
	o.types = b.Scores()
	for _, s := range o.types {
		o.Tasks += s.Tasks
		o.Used += s.Used
		o.Learned = plus(o.Learned, s.Learned)
		o.Table = plus(o.Table, s.Table)
	}
	return &o
}

func plus(a, b learn.Count) learn.Count {
	return learn.Count{Covered: a.Covered + b.Covered, Waste: a.Waste + b.Waste, Short: a.Short + b.Short}
}

// fitted is what the table would have wasted, as a part of what was used, had it been multiplied by the one factor that, in
// hindsight, covers a share of all tasks together; and the least that a type was covered then.
func fitted(t testing.TB, tasks []task, share float64) (waste, least float64) {
	t.Helper()
	ratios := make([]float64, len(tasks))
	for i, x := range tasks {
		ratios[i] = float64(x.used) / float64(tableOf(t, x.key))
	}
	slices.Sort(ratios)
	factor := ratios[min(len(ratios)-1, int(share*float64(len(ratios))))]
	var used float64
	all, covered := map[string]float64{}, map[string]float64{}
	for _, x := range tasks {
		estimated := factor * float64(tableOf(t, x.key))
		waste += max(0, estimated-float64(x.used))
		used += float64(x.used)
		if all[x.key.TaskType]++; float64(x.used) <= estimated {
			covered[x.key.TaskType]++
		}
	}
	least = 1
	for name, n := range all {
		least = min(least, covered[name]/n)
	}
	return waste / used, least
}

func tableOf(t testing.TB, k learn.Key) int64 {
	t.Helper()
	e, err := estimate.For(estimate.Task{Type: estimate.Type(k.TaskType), Complexity: estimate.Complexity(k.Complexity), Files: estimate.UsualFiles})
	if err != nil {
		t.Fatal(err)
	}
	return e.TotalTokens
}

// The seeds that the constants of the package were chosen on begin with 100; these were looked at afterwards.
const freshSeed, freshSeeds = 5000, 4

// TestCoverage holds the promise of the package on generated tasks: out of sample, within 3 points of the target over all
// tasks, no type more than 13 points below it, and with less waste than the table at the one factor that covers as many
// in hindsight. Its log is the table of docs/estimates.md.
func TestCoverage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		draw func(*rand.Rand, int) []task
		n    int
	}{{"SWE-bench-like", sweBench, 2000}, {"TraceLab-like", traceLab, 4000}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var curve byEvidence
			var ours, table float64
			var all outcome
			var learnedAsks, tableAsks int64
			for seed := range uint64(freshSeeds) {
				tasks := row.draw(rand.New(rand.NewPCG(freshSeed+seed, 1)), row.n)
				o := run(t, tasks)
				waste, least := fitted(t, tasks, o.coverage())
				ours, table = ours+o.waste()/freshSeeds, table+waste/freshSeeds
				t.Logf("seed %d: learned covers %.1f %% (types from %.1f to %.1f %%), waste %.2f of use; table × 1.3 covers %.1f %%, waste %.4f; "+
					"table × one factor of the same coverage: least type %.1f %%, waste %.2f", freshSeed+seed, 100*o.coverage(), 100*o.least(), 100*o.most(),
					o.waste(), 100*part(o.Table.Covered, o.Tasks), part(o.Table.Waste, o.Used), 100*least, waste)
				curve.plus(&o.curve)
				t.Logf("seed %d: loss %.3f of use, table × 1.3 %.3f; asks for a task %.2f, table × 1.3 %.1f", freshSeed+seed,
					loss(&o.Learned, o.Used), loss(&o.Table, o.Used), part(o.learnedAsks, o.Tasks), part(o.tableAsks, o.Tasks))
				all.Used, all.Learned, all.Table = all.Used+o.Used, plus(all.Learned, o.Learned), plus(all.Table, o.Table)
				learnedAsks, tableAsks = learnedAsks+o.learnedAsks, tableAsks+o.tableAsks
				if math.Abs(o.coverage()-learn.DefaultTarget) > 0.03 || o.least() < learn.DefaultTarget-0.13 {
					t.Errorf("seed %d: coverage is %.3f, of a type %.3f, want within 3 points of %.2f", seed, o.coverage(), o.least(), learn.DefaultTarget)
				}
			}
			t.Logf("mean waste %.3f, of the table × one factor %.3f", ours, table)
			for i, from := range []string{"0", "1-9", "10-29", "30-99", "100+"} {
				t.Logf("  tasks of the type before: %-5s covered %.1f %% of %d", from, 100*float64(curve.covered[i])/float64(curve.tasks[i]), curve.tasks[i])
			}
			if mine, theirs := loss(&all.Learned, all.Used), loss(&all.Table, all.Used); mine >= theirs || learnedAsks >= tableAsks {
				t.Errorf("the loss is %.3f of use and of the table × 1.3 %.3f, in %d and %d asks", mine, theirs, learnedAsks, tableAsks)
			}
			if ours >= table {
				t.Errorf("mean waste %.3f, the table with one factor of the same coverage wastes %.3f", ours, table)
			}
		})
	}
}

func (o *outcome) least() float64 {
	least := 1.0
	for _, s := range o.types {
		least = min(least, part(s.Learned.Covered, s.Tasks))
	}
	return least
}

func (o *outcome) most() float64 {
	most := 0.0
	for _, s := range o.types {
		most = max(most, part(s.Learned.Covered, s.Tasks))
	}
	return most
}

func (c *byEvidence) plus(o *byEvidence) {
	for i := range c.tasks {
		c.tasks[i] += o.tasks[i]
		c.covered[i] += o.covered[i]
	}
}
