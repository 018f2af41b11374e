// Command bursar-trim removes commits that are older than the retention from the ledgers, once they verify and everybody
// who has to see them has acknowledged them. It is run by hand or by a timer, with the maintenance credentials, which no
// service holds. `bursar up` does the same by itself once a day.
package main

import (
	"context"
	"flag"
	"os"
	"strings"
	"time"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/allocator"
)

// version is set by the linker.
var version = "0.0.0"

func main() {
	var (
		workspaces string
		retention  time.Duration
	)
	os.Exit(service.Main(service.Spec{
		Name: "trim", Version: version, Job: true,
		Summary: "Remove old commits from the ledgers, once they verify and everybody has seen them.",
		Flags: func(set *flag.FlagSet, env func(variable, otherwise string) string) {
			set.StringVar(&workspaces, "workspaces", env("BURSAR_WORKSPACES", natsauth.DefaultWorkspace),
				"`NAMES` of the workspaces to trim, with commas between them ($BURSAR_WORKSPACES)")
			set.DurationVar(&retention, "retention", allocator.DefaultRetention, "`AGE` up to which commits are kept")
		},
		Run: func(ctx context.Context, env *service.Env) error {
			connection, err := env.Connection(natsauth.RoleMaintenance)
			if err != nil {
				return err
			}
			return allocator.Trim(ctx, allocator.TrimConfig{NATS: connection, Workspaces: strings.Split(workspaces, ","), Retention: retention}, env.Log)
		},
	}, os.Args[1:], os.Stderr, os.Getenv))
}
