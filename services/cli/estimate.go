package cli

import (
	"cmp"
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// estimateCommand says what a task will take, or how estimates did.
type estimateCommand struct {
	*app
	agent  agentFlag
	task   taskFlags
	model  string
	report bool
}

func (a *app) estimate() *cobra.Command {
	c := &estimateCommand{app: a}
	cmd := &cobra.Command{
		Use:   "estimate",
		Short: "Say how many tokens a task will take",
		Long: "Say what a task will take, and what that rests on. With --report: how the estimates of the last days did\n" +
			"against what was then used.",
		Example: "  bursar estimate --task code_review --files 12 --model claude-sonnet-5\n  bursar estimate --task analysis --complexity high --conservative --json\n" +
			"  bursar estimate --report",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	c.agent.register(cmd.Flags(), a)
	c.task.register(cmd)
	cmd.Flags().StringVar(&c.model, "model", "", "`NAME` of the model: to price it, and to estimate by it")
	cmd.Flags().BoolVar(&c.report, "report", false, "show how estimates did in the last days")
	return cmd
}

func (c *estimateCommand) run(cmd *cobra.Command) error {
	if c.report {
		return c.showReport(cmd.Context())
	}
	if c.task.taskType == "" {
		return usagef("give --task: code_generation, code_review, documentation, analysis or quick_query")
	}
	return c.asAgent(cmd.Context(), func(ctx context.Context, b *remote) error {
		reply, err := b.Agent(c.agent.name).Estimate(ctx, c.task.request(cmd, c.model))
		if err != nil {
			return err
		}
		return c.show(reply, func() { c.showEstimate(reply) })
	})
}

func (c *estimateCommand) showReport(ctx context.Context) error {
	if c.task.taskType != "" {
		return usagef("--report is about all tasks: leave --task away")
	}
	return c.connected(ctx, func(ctx context.Context, b *remote) error {
		reply, err := b.Estimates(ctx)
		if err != nil {
			return err
		}
		return c.show(reply, func() { c.showEstimates(reply) })
	})
}

// showEstimates writes how estimates did. Each was made before the task, so that nothing is told in hindsight.
func (a *app) showEstimates(r *wire.EstimatesReply) {
	s := a.screen
	if r.Overall.Tasks == 0 {
		s.Printf("No task was settled in the last days, so that nothing can be told of estimates.\n")
		return
	}
	s.Title("Estimates against use, since " + r.SinceAt.Time().Format("Jan 2") + " (UTC)")
	t := &screen.Table{Columns: []screen.Column{
		{Title: "TASK TYPE", Shrink: true}, {Title: "TASKS", Right: true}, {Title: "USED", Right: true}, {Title: "AIM", Right: true},
		{Title: "COVERED", Right: true}, {Title: "WASTE", Right: true}, {Title: "SHORT", Right: true}, {Title: "TABLE COVERS", Right: true},
	}}
	for i := range r.Types {
		scoreRow(t, cmp.Or(r.Types[i].TaskType, "(none)"), &r.Types[i])
	}
	scoreRow(t, "all", &r.Overall)
	s.Table(t)
	s.Printf("%s\n", s.Paint(screen.Faint, "WASTE and SHORT: estimated and not used, and used beyond it, as a part of USED."))
	a.showAgainstTable(r)
	a.showStated(r.Overall.Stated)
}

// showAgainstTable sets the built-in table beside what was learned: plainly, and in one figure, because of two ways that cover
// different shares the waste alone says nothing.
func (a *app) showAgainstTable(r *wire.EstimatesReply) {
	v := &r.Overall
	a.screen.Printf("\n")
	a.screen.Title("Estimates and the built-in table × 1.3")
	for _, way := range []struct {
		name string
		of   *wire.EstimateCount
	}{{"estimates", &v.Learned}, {"table", &v.Table}} {
		a.line(way.name, "covered "+screen.Percent(way.of.Covered, v.Tasks)+", wasted "+screen.Percent(way.of.WasteTokens, v.UsedTokens)+
			", short by "+screen.Percent(way.of.ShortTokens, v.UsedTokens)+" of what was used; loss "+lossOf(way.of, r.TargetPercent, v.UsedTokens))
	}
	a.screen.Printf("%s\n", a.screen.Paint(screen.Faint, lossText(r.TargetPercent)))
}

// lossOf is waste and shortage in one figure, as a part of use.
func lossOf(c *wire.EstimateCount, target wire.Percent, used int64) string {
	count := learn.Count{Waste: c.WasteTokens, Short: c.ShortTokens}
	return screen.Percent(int64(count.Loss(float64(target)/wholePercent)), used)
}

// lossText says what a loss is at a target.
func lossText(target wire.Percent) string {
	if target <= 0 || target >= wholePercent {
		return "Loss: tokens short."
	}
	weight := strconv.FormatFloat(float64(target)/float64(wholePercent-target), 'f', -1, 64)
	return "Loss: at a target of " + screen.Percent(int64(target), wholePercent) + " a token short counts as " + weight + " wasted."
}

func scoreRow(t *screen.Table, name string, v *wire.EstimateScore) {
	tone := screen.Plain
	const tolerable = 3_000 // thousandths of a percent: the promise
	if v.Learned.CoveredPercent+tolerable < v.AimPercent {
		tone = screen.Caution
	}
	t.Add(screen.Text(name), screen.Text(screen.Count(v.Tasks)), screen.Text(screen.Short(v.UsedTokens)),
		screen.Text(screen.Percent(int64(v.AimPercent), wholePercent)), screen.Toned(tone, screen.Percent(v.Learned.Covered, v.Tasks)),
		screen.Text(screen.Percent(v.Learned.WasteTokens, v.UsedTokens)), screen.Text(screen.Percent(v.Learned.ShortTokens, v.UsedTokens)),
		screen.Text(screen.Percent(v.Table.Covered, v.Tasks)))
}

// wholePercent is all of it, as percentages are counted on the wire.
const wholePercent = 100_000

// showStated tells what agents made of estimates.
func (a *app) showStated(v *wire.EstimateStated) {
	if v == nil {
		return
	}
	a.screen.Printf("\n")
	a.screen.Title(counted(v.Tasks, "reservation") + " made from an estimate")
	a.line("told", screen.Count(v.EstimatedTokens)+" tokens, which covered "+screen.Percent(v.Estimate.Covered, v.Tasks)+
		" and wasted "+screen.Percent(v.Estimate.WasteTokens, v.UsedTokens))
	a.line("granted", screen.Count(v.GrantedTokens)+" at first, which covered "+screen.Percent(v.Grant.Covered, v.Tasks)+
		" and wasted "+screen.Percent(v.Grant.WasteTokens, v.UsedTokens))
	a.line("extended", screen.Count(v.Extended)+" of them later")
	a.line("used", screen.Count(v.UsedTokens)+" tokens")
}
