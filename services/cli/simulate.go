package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/cli/internal/simulate"
)

const (
	simulatedDays  = 3
	simulatedSeeds = 3
	maxSeeds       = 10_000
	maxLoad        = 100
	maxLoads       = 100
)

// simulateCommand lets many tenants work for days against the rules alone.
type simulateCommand struct {
	*app
	days     int
	seeds    int
	first    uint64
	loads    string
	policies string
	config   string
	clients  []string
	check    bool
}

func (a *app) simulate() *cobra.Command {
	c := &simulateCommand{app: a}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate days of many tenants and compare policies",
		Long: "Many agents work for days against the rules that grant, queue and refuse, in minutes and without a server:\n" +
			"the same jobs under each policy. fcfs is first come, first served without a queue, and who is refused asks\n" +
			"again after five minutes; bursar is everything that the allocator can do.\n\n" +
			"A load of 1 is as much work as the windows of the accounts can take. docs/simulate.md explains the columns.",
		Example: "  bursar simulate\n  bursar simulate --load 1.2 --days 7 --policy bursar\n  bursar simulate --config my.yaml --seeds 20 --json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.IntVar(&c.days, "days", simulatedDays, "`N` days of work")
	flags.IntVar(&c.seeds, "seeds", simulatedSeeds, "repeat with `N` different seeds")
	flags.Uint64Var(&c.first, "first-seed", 1, "the first `SEED`; the others follow")
	flags.StringVar(&c.loads, "load", "0.7,1.0,1.5", "`LIST` of offered work, as multiples of what the windows can take")
	flags.StringVar(&c.policies, "policy", "fcfs,bursar", "`LIST` of policies")
	flags.StringVar(&c.config, "config", "", "`FILE` with the configuration to simulate; default: a built-in world of four teams")
	flags.StringSliceVar(&c.clients, "clients", nil, "`FILES` of ServeGen clients (rates and sizes) to simulate instead of generated work")
	flags.BoolVar(&c.check, "check", false, "fail unless the last policy dominates the first at every load")
	return cmd
}

func (c *simulateCommand) run(ctx context.Context) error {
	grid, err := c.grid()
	if err != nil {
		return err
	}
	tick, finish := c.progress(grid.Size())
	grid.Done = tick
	began := time.Now()
	reports, err := grid.Run(ctx)
	finish()
	if err != nil {
		return err
	}
	doc := simulation{Reports: reports, Faults: []string{}}
	for i := 0; i < len(reports); i += len(grid.Policies) {
		last := i + len(grid.Policies) - 1
		doc.Faults = append(doc.Faults, simulate.Compare(reports[i], reports[last])...)
	}
	if err := c.show(&doc, func() { c.showReports(grid, &doc, time.Since(began)) }); err != nil {
		return err
	}
	if c.check && len(doc.Faults) > 0 {
		if c.options.json {
			return errReported
		}
		return fmt.Errorf("%s does not dominate %s", grid.Policies[len(grid.Policies)-1].Name, grid.Policies[0].Name)
	}
	return nil
}

// simulation is the document of --json.
type simulation struct {
	Reports []*simulate.Report `json:"reports"`
	Faults  []string           `json:"faults"` // where the last policy does not dominate the first
}

// grid reads the flags.
func (c *simulateCommand) grid() (*simulate.Grid, error) {
	g := &simulate.Grid{Days: c.days, Seeds: c.seeds, First: c.first}
	switch {
	case c.days < 1 || c.days > simulate.MaxDays:
		return nil, usagef("--days must be from 1 to %d", simulate.MaxDays)
	case c.seeds < 1 || c.seeds > maxSeeds:
		return nil, usagef("--seeds must be from 1 to %d", maxSeeds)
	}
	for text := range strings.SplitSeq(c.loads, ",") {
		load, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(load > 0) || load > maxLoad || len(g.Loads) == maxLoads {
			return nil, usagef("--load %q is not a list of at most %d numbers above 0 and up to %d", c.loads, maxLoads, maxLoad)
		}
		g.Loads = append(g.Loads, load)
	}
	for name := range strings.SplitSeq(c.policies, ",") {
		p, err := simulate.ParsePolicy(strings.TrimSpace(name))
		if err != nil {
			return nil, usage(err)
		}
		g.Policies = append(g.Policies, p)
	}
	var err error
	if g.Config, err = c.world(); err != nil {
		return nil, err
	}
	if len(c.clients) > 0 {
		g.Tenants, err = simulate.Clients(&g.Config, c.clients)
	}
	return g, err
}

func (c *simulateCommand) world() (quota.Config, error) {
	if c.config == "" {
		return simulate.DefaultWorld()
	}
	loaded, err := config.Load(c.config)
	if err != nil {
		return quota.Config{}, err
	}
	return loaded.Quota, nil
}

// progress gives a bar on a terminal, and what to call when all is done.
func (c *simulateCommand) progress(runs int) (tick, finish func()) {
	if !screen.Terminal(c.process.Stderr) {
		return func() {}, func() {}
	}
	bar := progressbar.NewOptions(runs,
		progressbar.OptionSetWriter(c.process.Stderr), progressbar.OptionSetDescription("simulating"), progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	// A bar that cannot be drawn changes nothing about the simulation.
	return func() { _ = bar.Add(1) }, func() { _ = bar.Finish() }
}
