// Command bursar-analytics brings the ledgers into ClickHouse and answers questions about the past.
// `bursar up` runs the same service in its process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	_ "time/tzdata" // time zones of queries, wherever the binary runs

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/analytics"
)

// version is set by the linker.
var version = "unknown"

const (
	envURL        = "BURSAR_CLICKHOUSE_URL"
	envDays       = "BURSAR_KEEP_EVENTS_DAYS"
	envPartitions = "BURSAR_EVENT_PARTITIONS"

	defaultURL = "http://127.0.0.1:8123"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var server, file, partitions string
	var days uint
	var daysErr error
	return service.Main(service.Spec{
		Name:    "analytics",
		Version: version,
		Summary: "Bring the ledger of every workspace into ClickHouse and answer summary, history and peaks.",
		Flags: func(set *flag.FlagSet, env func(variable, otherwise string) string) {
			set.StringVar(&server, "clickhouse-url", env(envURL, defaultURL), "`URL` of ClickHouse; the user is "+chembed.UserWriter+" unless it names one ($"+envURL+")")
			set.StringVar(&file, "clickhouse-password-file", env(analytics.EnvPasswordFile, ""), "`FILE` with the user's password ($"+analytics.EnvPasswordFile+"); or the password in $"+analytics.EnvPassword)
			days, daysErr = number(env(envDays, "0"))
			set.UintVar(&days, "keep-events-days", days, "`DAYS` for which ClickHouse keeps events, at least 35; 0 is forever. Sums by the hour stay ($"+envDays+")")
			set.StringVar(&partitions, "event-partitions", env(envPartitions, ""),
				"`SPAN` of a partition of events in ClickHouse: month, week or day; default: as they are, a new table by month ($"+envPartitions+")")
		},
		Run: func(ctx context.Context, env *service.Env) error {
			dsn, err := analytics.Address(server, file, os.Getenv(analytics.EnvPassword))
			if err := errors.Join(daysErr, err); err != nil {
				return err
			}
			ledger, err := env.Connection(natsauth.RoleAnalytics)
			if err != nil {
				return err
			}
			front, err := env.Connection(natsauth.RoleAnalyticsFront)
			if err != nil {
				return err
			}
			return analytics.Run(ctx, analytics.Config{
				NATS: ledger, Front: front, ClickHouse: dsn, Retention: analytics.RetentionOf(days), Partitions: analytics.Partitions(partitions),
				Failpoints: env.Failpoints, Telemetry: env.Telemetry,
			}, env.Log)
		},
	}, args, os.Stderr, os.Getenv)
}

// number reads the days that the environment says.
func number(days string) (uint, error) {
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("$%s: %q is no number of days", envDays, days)
	}
	return uint(n), nil
}
