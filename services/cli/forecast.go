package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/wire"
)

// forecastCommand shows when limits run out.
type forecastCommand struct {
	*app
	request wire.ForecastRequest
	all     bool
}

func (a *app) forecast() *cobra.Command {
	c := &forecastCommand{app: a}
	cmd := &cobra.Command{
		Use:   "forecast [LIMIT]",
		Short: "Show when windows run out, and what the next week needs",
		Long: "Show of each session, day, week or month window how much is used, how much of its time is over, the pace\n" +
			"(used for elapsed: above 1 it runs out before its end if it goes on so), when it is likely to run out, and\n" +
			"what the next seven days need. Times and needs are intervals with four chances in five. With a LIMIT, the\n" +
			"hours of the week too.\n\n" +
			"--backtest forecasts spans that are past from what was before them, and shows how far off that was, beside\n" +
			"simple methods.",
		Example: "  bursar forecast\n  bursar forecast claude-max/weekly\n  bursar forecast --backtest\n" +
			"  bursar forecast --json | jq '.limits[] | {limit_id, exhaustion}'",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.request.Account, "account", "", "only limits of the account `ID`")
	flags.StringVar(&c.request.Zone, "zone", "", "IANA time zone `NAME` in which hours of the day are alike; default: this machine's, else UTC")
	flags.BoolVar(&c.request.Backtest, "backtest", false, "show how well forecasts of the past fared")
	flags.BoolVar(&c.all, "all", false, "show the limits that were never used too")
	return cmd
}

func (c *forecastCommand) run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		c.request.LimitID = args[0]
	}
	if c.request.Zone == "" {
		c.request.Zone = localZone()
	}
	return c.connected(ctx, func(ctx context.Context, b *remote) error {
		reply, err := b.Forecast(ctx, c.request)
		if err != nil {
			return err
		}
		return c.show(reply, func() { c.showForecast(reply) })
	})
}
