// Command bursar-analytics brings the ledgers into ClickHouse and answers questions about the past.
// `bursar up` runs the same service in its process.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	_ "time/tzdata" // time zones of queries, wherever the binary runs

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/analytics"
)

// version is set by the linker.
var version = "unknown"

const (
	envURL      = "BURSAR_CLICKHOUSE_URL"
	envPassword = "BURSAR_CLICKHOUSE_WRITER_PASSWORD"
	envFile     = "BURSAR_CLICKHOUSE_PASSWORD_FILE"

	defaultURL = "http://127.0.0.1:8123"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var server, file string
	var days uint
	return service.Main(service.Spec{
		Name:    "analytics",
		Version: version,
		Summary: "Bring the ledger of every workspace into ClickHouse and answer summary, history and peaks.",
		Flags: func(set *flag.FlagSet, env func(variable, otherwise string) string) {
			set.StringVar(&server, "clickhouse-url", env(envURL, defaultURL), "`URL` of ClickHouse; the user is "+chembed.UserWriter+" unless it names one ($"+envURL+")")
			set.StringVar(&file, "clickhouse-password-file", env(envFile, ""), "`FILE` with the user's password ($"+envFile+"); or the password in $"+envPassword)
			set.UintVar(&days, "keep-events-days", 0, "`DAYS` for which ClickHouse keeps events, at least 35; 0 is forever. Sums by the hour stay")
		},
		Run: func(ctx context.Context, env *service.Env) error {
			dsn, err := address(server, file, os.Getenv(envPassword))
			if err != nil {
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
				NATS: ledger, Front: front, ClickHouse: dsn, Retention: analytics.RetentionOf(days), Failpoints: env.Failpoints, Telemetry: env.Telemetry,
			}, env.Log)
		},
	}, args, os.Stderr, os.Getenv)
}

// address completes the URL of ClickHouse with the user and the password, which is not an argument so
// that it shows in no list of processes.
func address(server, file, password string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("--clickhouse-url: %w", err)
	}
	if _, given := u.User.Password(); given {
		return server, nil
	}
	if file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--clickhouse-password-file: %w", err)
		}
		password = strings.TrimSpace(string(raw))
	}
	user := u.User.Username()
	if user == "" {
		user = chembed.UserWriter
	}
	u.User = url.UserPassword(user, password)
	return u.String(), nil
}
