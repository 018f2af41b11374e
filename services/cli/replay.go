package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/replay"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/cli/internal/trace"
	"github.com/bursarhq/bursar/services/cli/internal/work"
)

// demoJobs is how many jobs a day of the demonstration has.
const demoJobs = 600

// replayCommand does again what real agents did.
type replayCommand struct {
	*app
	format   string
	demo     bool
	seed     uint64
	speed    string
	agents   int
	limit    int
	provider string
	account  string
	model    string
	task     string
}

func (a *app) replay() *cobra.Command {
	c := &replayCommand{app: a}
	cmd := &cobra.Command{
		Use:   "replay --format FORMAT FILE… | --demo",
		Short: "Replay a trace of real agents, or a generated day of a fleet",
		Long: "Each row or call of a file becomes the request of an agent: estimate, reserve, spend what the row says,\n" +
			"settle. --demo generates a day of a fleet of several teams from published measurements instead.\n\n" +
			"Claude Code transcripts carry the provider's ids of calls, so that replaying one twice counts its tokens once.",
		Example: "  bursar replay --demo\n  bursar replay --demo --speed 3600 --seed 7\n  bursar replay --format azure --limit 1000 AzureLLMInferenceTrace_code.csv\n" +
			"  bursar replay --format claude-code ~/.claude/projects/*/*.jsonl",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error { return c.run(cmd.Context(), files) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.format, "format", "", "azure, mooncake or claude-code")
	flags.BoolVar(&c.demo, "demo", false, "generate a day of a fleet")
	flags.Uint64Var(&c.seed, "seed", 1, "`N` that the generated day depends on")
	flags.StringVar(&c.speed, "speed", "max", "`N` times the pace of the trace, or max")
	flags.IntVar(&c.agents, "agents", 0, "deal the rows out to `N` agents at once (default 16)")
	flags.IntVar(&c.limit, "limit", 0, "only the first `N` rows (with --demo: jobs of the day; default 600)")
	flags.StringVar(&c.provider, "provider", "", "`NAME` of the provider to reserve at; default by format")
	flags.StringVar(&c.account, "account", "", "`ID` of the account to reserve on and no other")
	flags.StringVar(&c.model, "model", "", "`NAME` of the model where the trace tells none")
	flags.StringVar(&c.task, "task", "", "`TYPE` of task to estimate for; default by format")
	complete(cmd, "format", words(trace.Formats()))
	complete(cmd, "task", words(estimate.Types()))
	return cmd
}

func (c *replayCommand) run(ctx context.Context, files []string) error {
	speed, err := c.check(files)
	if err != nil {
		return err
	}
	jobs, err := c.jobs(ctx, files)
	if err != nil {
		return err
	}
	own, err := c.agentTarget()
	if err != nil {
		return err
	}
	crew := &crew{app: c.app, own: own, clients: map[string]*client.Client{}}
	defer crew.close()
	past := 0
	if c.demo {
		if past, err = c.bringPast(ctx, crew, len(jobs)); err != nil {
			return err
		}
	}
	tick, finish := c.progress(len(jobs))
	summary, err := replay.Run(ctx, jobs, replay.Options{
		Speed: speed, Done: tick,
		Agent: func(principal, name string) (*client.Agent, error) { return crew.agent(ctx, principal, name) },
	})
	finish()
	summary.PastCalls = int64(past)
	if showErr := c.show(&summary, func() { c.showSummary(&summary) }); showErr != nil {
		return errors.Join(err, showErr)
	}
	if err != nil && c.options.json { // the summary is the one document of the output
		c.log.Error("the replay ended early", "error", err)
		return errReported
	}
	return err
}

// check reads the flags that are not what they seem.
func (c *replayCommand) check(files []string) (speed float64, err error) {
	switch {
	case c.demo && (c.format != "" || len(files) > 0):
		return 0, usagef("--demo generates its work: give it no files and no --format")
	case !c.demo && (c.format == "" || len(files) == 0):
		return 0, usagef("give --format and files, or --demo")
	case c.agents < 0 || c.limit < 0:
		return 0, usagef("--agents and --limit must not be negative")
	case c.demo && c.agents > 0:
		return 0, usagef("--demo has its own agents; --agents is for files")
	}
	if c.speed == "max" {
		return 0, nil
	}
	speed, err = strconv.ParseFloat(c.speed, 64)
	if err != nil || !(speed > 0) || speed > 1e9 {
		return 0, usagef("--speed %q is neither max nor a number above 0", c.speed)
	}
	return speed, nil
}

func (c *replayCommand) jobs(ctx context.Context, files []string) ([]work.Job, error) {
	if c.demo {
		run, err := wire.NewRequestID()
		if err != nil {
			return nil, err
		}
		n := c.limit
		if n == 0 {
			n = demoJobs
		}
		return work.Day(c.seed, n, "demo-"+run), nil
	}
	format, err := trace.ParseFormat(c.format)
	if err != nil {
		return nil, usage(err)
	}
	read, err := trace.ReadFiles(ctx, format, files, c.limit, c.process.Stdin)
	if err != nil {
		return nil, err
	}
	if len(read.Calls) == 0 {
		return nil, fmt.Errorf("the files hold no calls of format %s", format)
	}
	c.log.Info("read the trace", "calls", len(read.Calls), "repeated", read.Skipped.Repeated, "other", read.Skipped.Other,
		"synthetic", read.Skipped.Synthetic, "malformed", read.Skipped.Malformed)
	return work.FromTrace(read, c.pattern(format)), nil
}

func (c *replayCommand) pattern(format trace.Format) work.Pattern {
	p := work.PatternOf(format)
	if c.agents > 0 {
		p.Agents = c.agents
	}
	if c.provider != "" {
		p.Provider = c.provider
	}
	if c.model != "" {
		p.Model = c.model
	}
	if c.task != "" {
		p.TaskType = estimate.Type(c.task)
	}
	p.Account = c.account
	return p
}

// progress gives a bar on a terminal, and what to call when all is done.
func (c *replayCommand) progress(jobs int) (tick, finish func()) {
	if !screen.Terminal(c.process.Stderr) {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(jobs,
		progressbar.OptionSetWriter(c.process.Stderr), progressbar.OptionSetDescription("replaying"), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("jobs"), progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
	// A bar that cannot be drawn changes nothing about the replay.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}

func (c *replayCommand) showSummary(r *replay.Summary) {
	s := c.screen
	denied := int64(0)
	for _, n := range r.Denied {
		denied += n
	}
	s.Printf("%s in %s: %s granted, %s denied, %s settled\n", s.Paint(screen.Strong, counted(r.Requests, "request")),
		screen.Span(time.Duration(r.DurationS*float64(time.Second))), s.Paint(screen.Good, screen.Count(r.Granted)),
		s.Paint(deniedTone(denied), screen.Count(denied)), screen.Count(r.Settled))
	if r.Queued > 0 {
		c.line("queued", fmt.Sprintf("%s, of those %s were granted after waiting", screen.Count(r.Queued), screen.Count(r.FromQueue)))
	}
	if r.Shrunk > 0 {
		c.line("shrunk", screen.Count(r.Shrunk)+" were granted less than they asked for")
	}
	for _, code := range sortedKeys(r.Denied) {
		c.line("denied", screen.Count(r.Denied[code])+" "+screen.Clean(code))
	}
	c.line("reserved", screen.Count(r.ReservedTokens)+" tokens")
	c.line("used", screen.Count(r.UsedTokens)+" tokens, "+screen.Count(r.OverrunTokens)+" of them beyond the reservation")
	c.line("extended", screen.Count(r.Extended)+plural(r.Extended, " time", " times"))
	c.line("returned", screen.Count(r.ReturnedTokens)+" tokens")
	if r.PastCalls > 0 {
		c.line("before", counted(r.PastCalls, "call")+" of the week before, on "+pastAccount+", that nobody reserved")
	}
	if denied > r.Requests/2 {
		c.line("mostly", "denied: `bursar status` shows what is used up, and another --data-dir begins anew")
	}
	c.line("latency", fmt.Sprintf("reserve: %.1f ms in the median, %.1f ms at the 99th percentile", r.LatencyMS.P50, r.LatencyMS.P99))
}

func deniedTone(n int64) screen.Tone {
	if n == 0 {
		return screen.Plain
	}
	return screen.Bad
}

// crew holds a connection for each principal of the jobs, shared by its agents.
type crew struct {
	*app
	own     *target
	clients map[string]*client.Client
	closers []func()
}

// agent gives the client of an agent.
func (c *crew) agent(ctx context.Context, principal, name string) (*client.Agent, error) {
	known := c.clients[principal]
	if known == nil {
		t := *c.own
		if principal != "" && principal != t.principal {
			t.principal, t.nkey, t.creds = principal, "", ""
			if err := t.findSeed(); err != nil {
				return nil, err
			}
		}
		nc, err := c.connect(ctx, &t)
		if err != nil {
			return nil, err
		}
		c.closers = append(c.closers, nc.Close)
		known, err = client.New(nc, client.Options{Workspace: t.workspace, Principal: t.principal, Patience: crewPatience, Log: c.log})
		if err != nil {
			return nil, fmt.Errorf("open the client: %w", err)
		}
		c.closers = append(c.closers, func() { _ = known.Close() }) // what it cannot unsubscribe ends with the connection
		c.clients[principal] = known
	}
	return known.Agent(name), nil
}

// crewPatience is how long a replay waits for a Bursar that is being restarted.
const crewPatience = time.Minute

// close ends clients before their connections: one that asks for notices meanwhile would miss its own.
func (c *crew) close() {
	for _, end := range slices.Backward(c.closers) {
		end()
	}
}
