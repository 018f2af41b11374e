package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/analytics"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/cli/internal/system"
	"github.com/bursarhq/bursar/services/page"
)

// upCommand runs a whole Bursar.
type upCommand struct {
	*app
	config system.Config
	sync   string
}

// readyEvent is the line that up writes when everything serves.
type readyEvent struct {
	Event      string `json:"event"`
	NATS       string `json:"nats"`
	ClickHouse string `json:"clickhouse"`
	Metrics    string `json:"metrics"`
	Page       string `json:"page,omitzero"`
}

func (a *app) up() *cobra.Command {
	c := &upCommand{app: a}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole Bursar in this process, until a signal",
		Long: "Run NATS, ClickHouse, allocator, analytics and suggestions in one process on this machine. Everything is kept in\n" +
			"--data-dir, credentials included, and is there again at the next start. The first signal drains, a second one\n" +
			"ends at once.",
		Example: "  bursar up\n  bursar up --data-dir /var/lib/bursar --config bursar.yaml\n  bursar up --nats-port 0 --clickhouse-port 0 --json\n" +
			"  bursar up --nats-url nats://nats.internal:4222 \\\n    --clickhouse-url http://bursar@clickhouse.internal:8123/bursar",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.config.ConfigFile, "config", "", "`FILE` to apply, if it says something else than what holds; default for a new ledger: the built-in one")
	flags.StringVar(&c.config.NotifyFile, "notify", "", "`FILE` that says which webhooks are told of what; see bursar notify")
	flags.IntVar(&c.config.NATSPort, "nats-port", 4222, "`PORT` of NATS on 127.0.0.1; 0 is any free one")
	flags.IntVar(&c.config.ClickHousePort, "clickhouse-port", 8123, "`PORT` of ClickHouse on 127.0.0.1; 0 is any free one")
	flags.IntVar(&c.config.MetricsPort, "metrics-port", 0, "`PORT` of /metrics, /healthz and /readyz on 127.0.0.1; 0 is any free one")
	flags.StringVar(&c.sync, "sync", string(natsembed.SyncAlways), "durability: always, or what a power cut may take: 1s or 2m")
	flags.StringVar(&c.config.NATSURL, "nats-url", "", "use the NATS server at `URL`, which knows the keys in the data directory")
	flags.StringVar(&c.config.ClickHouseURL, "clickhouse-url", "", "use the ClickHouse server at `URL`")
	flags.UintVar(&c.config.KeepEventsDays, "keep-events-days", 0, "`DAYS` for which ClickHouse keeps events, at least 35; 0 is forever")
	flags.StringVar(&c.config.EventPartitions, "event-partitions", "", "`SPAN` of a partition of events in ClickHouse: month, week or day; default: as they are, a new table by month")
	flags.StringVar(&c.config.PageListen, "page-listen", "", "`ADDRESS` of the page, or off; other machines have to log in (default "+page.DefaultAddress+" or, if that is taken, any free port)")
	flags.BoolVar(&c.config.PageLogin, "page-login", false, "demand a login to the page on this machine too: see bursar page")
	complete(cmd, "sync", []string{string(natsembed.SyncAlways), string(natsembed.SyncSecond), string(natsembed.SyncTwoMinutes)})
	complete(cmd, "event-partitions", words(analytics.AllPartitions()))
	return cmd
}

func (c *upCommand) run(ctx context.Context) error {
	cfg := &c.config
	cfg.Dir, cfg.Workspace, cfg.Version, cfg.Getenv = datadir.Dir(c.options.dataDir), c.options.workspace, c.process.Version, c.process.Getenv
	cfg.Sync, cfg.Ready = natsembed.Sync(c.sync), c.ready
	if cfg.Workspace == "" {
		cfg.Workspace = natsauth.DefaultWorkspace
	}
	if err := c.completeClickHouse(); err != nil {
		return usage(err)
	}
	if err := cfg.Validate(); err != nil {
		return usage(err)
	}
	ctx, stop := runner.WithSignals(ctx, c.log)
	defer stop()
	allocator.TuneGC(ctx, c.process.Getenv)
	return system.Run(ctx, *cfg, c.log)
}

// completeClickHouse takes the password of a ClickHouse of one's own from the environment, so that it need not stand in
// the command line, which others see.
func (c *upCommand) completeClickHouse() (err error) {
	file, password := c.process.Getenv(analytics.EnvPasswordFile), c.process.Getenv(analytics.EnvPassword)
	if c.config.ClickHouseURL != "" && (file != "" || password != "") {
		c.config.ClickHouseURL, err = analytics.Address(c.config.ClickHouseURL, file, password)
	}
	return err
}

// foundByDefault tells whether commands find this system by themselves.
func (c *upCommand) foundByDefault() bool {
	return datadir.Default(c.process.Getenv).Absolute() == c.config.Dir.Absolute()
}

// ready tells that everything serves: a line for scripts, or what to type next.
func (c *upCommand) ready(e datadir.Endpoints) error {
	if c.options.json {
		event := readyEvent{Event: "ready", NATS: e.NATS, ClickHouse: e.ClickHouse, Metrics: e.Metrics, Page: e.Page}
		if err := json.NewEncoder(c.process.Stdout).Encode(event); err != nil {
			return fmt.Errorf("tell that the system is ready: %w", err)
		}
		return nil
	}
	s := c.screen
	s.Printf("\n%s\n", s.Paint(screen.Good, "Bursar is ready."))
	if e.Page != "" {
		c.line("page", e.Page+pageNote(&e))
	}
	c.line("nats", e.NATS)
	c.line("clickhouse", e.ClickHouse+"/play")
	c.line("metrics", e.Metrics+"/metrics")
	c.line("data", string(c.config.Dir)+", durability "+e.Sync)
	s.Printf("\nType in another terminal:\n")
	if !c.foundByDefault() {
		s.Printf("  export %s=%s\n", datadir.EnvDir, screen.Clean(c.config.Dir.Absolute()))
	}
	for _, next := range []struct{ command, what string }{
		{"bursar replay --demo", "let a fleet work for a day, in seconds"},
		{"bursar status", "what is left of each limit, and who holds it"},
		{"bursar history", "what was spent, by whom and when"},
		{"bursar suggest", "what could be saved"},
		{"bursar verify", "check the books"},
		{"bursar watch --since 1h", "what happened, and what happens"},
	} {
		s.Printf("  %-26s%s\n", next.command, s.Paint(screen.Faint, next.what))
	}
	s.Printf("\nCtrl-C ends it.\n\n")
	return nil
}
