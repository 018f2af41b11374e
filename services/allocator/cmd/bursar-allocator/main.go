// Command bursar-allocator owns the reservations of one or more workspaces. `bursar up` runs the same service in its
// process; run this one where NATS is a cluster, as often as you like: one process serves, the others stand by.
package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"strings"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/allocator"
)

// version is set by the linker.
var version = "0.0.0"

func main() {
	var f flags
	os.Exit(service.Main(service.Spec{
		Name: "allocator", Version: version, Summary: "Reserve, record and return quota for agents.", Flags: f.add, Run: f.run,
	}, os.Args[1:], os.Stderr, os.Getenv))
}

type flags struct {
	workspaces, config string
	enforce, noRelay   bool
}

func (f *flags) add(set *flag.FlagSet, env func(variable, otherwise string) string) {
	set.StringVar(&f.workspaces, "workspaces", env("BURSAR_WORKSPACES", natsauth.DefaultWorkspace),
		"`NAMES` of the workspaces to serve, with commas between them ($BURSAR_WORKSPACES)")
	set.StringVar(&f.config, "config", env("BURSAR_CONFIG", ""),
		"`FILE` with the configuration of ledgers that have none; empty means the built-in one ($BURSAR_CONFIG)")
	set.BoolVar(&f.noRelay, "no-relay", false, "leave publishing the events to other processes")
	set.BoolVar(&f.enforce, "enforce-config", false, "apply -config also to ledgers that have another configuration")
}

func (f *flags) run(ctx context.Context, env *service.Env) error {
	allocator.TuneGC(ctx, os.Getenv)
	if f.enforce && f.config == "" {
		return errors.New("-enforce-config needs -config FILE")
	}
	initial, err := config.Default()
	if f.config != "" {
		initial, err = config.Load(f.config)
	}
	if err != nil {
		return err
	}
	cfg := allocator.Config{
		Version: version, Workspaces: strings.Split(f.workspaces, ","), Initial: &initial.Quota, Enforce: f.enforce,
		RelayElsewhere: f.noRelay,
		Points:         env.Failpoints, Telemetry: env.Telemetry, Tracer: env.OTel.Tracer("github.com/bursarhq/bursar/services/allocator"),
	}
	if cfg.Front, err = env.Connection(natsauth.RoleAllocatorFront); err != nil {
		return err
	}
	if cfg.Store, err = env.Connection(natsauth.RoleAllocatorStore); err != nil {
		return err
	}
	if cfg.Relay, err = env.Connection(natsauth.RoleRelay); err != nil {
		return err
	}
	return allocator.Run(ctx, cfg, env.Log)
}
