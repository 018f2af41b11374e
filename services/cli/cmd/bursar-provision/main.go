// Command bursar-provision makes the streams, buckets and consumers that the services need, or checks
// those that exist. It is run once before the services start, with the provisioning credentials, which
// no service holds. `bursar up` does the same by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/service"
)

// version is set when a release is built.
var version = "development"

func main() { os.Exit(service.Main(spec(), os.Args[1:], os.Stderr, os.Getenv)) }

func spec() service.Spec {
	config, check, widen := provision.Defaults(), false, false
	return service.Spec{
		Name: "provision", Version: version, Job: true,
		Summary: "Make the streams, buckets and consumers of Bursar. What exists is checked, and changed by -widen alone.",
		Flags: func(set *flag.FlagSet, _ func(string, string) string) {
			set.IntVar(&config.Replicas, "replicas", config.Replicas, "`COPIES` of every stream: 1, 3 or 5")
			set.Int64Var(&config.LedgerMaxBytes, "ledger-max-bytes", config.LedgerMaxBytes, "`BYTES` that the ledger may grow to; when full it refuses")
			set.Int64Var(&config.EventsMaxBytes, "events-max-bytes", config.EventsMaxBytes, "`BYTES` of public events to keep")
			set.DurationVar(&config.EventsMaxAge, "events-max-age", config.EventsMaxAge, "`AGE` up to which public events are kept")
			set.BoolVar(&check, "check", check, "make nothing, only check")
			set.BoolVar(&widen, "widen", widen, "make nothing; raise sizes and ages of what exists to what is given here")
		},
		Run: func(ctx context.Context, env *service.Env) error {
			return withJetStream(ctx, env, func(js jetstream.JetStream) error {
				switch {
				case check && widen:
					return errors.New("-check changes nothing and -widen does: give one of the two")
				case check:
					return provision.Check(ctx, js, config)
				case widen:
					return provision.Widen(ctx, js, config, env.Log)
				default:
					return advised(provision.Ensure(ctx, js, config, env.Log))
				}
			})
		},
	}
}

// advised says how a difference of sizes is removed.
func advised(err error) error {
	if diff, ok := errors.AsType[*provision.DifferenceError](err); ok && (diff.Field == "max_bytes" || diff.Field == "max_age") {
		return fmt.Errorf("%w; -widen raises it", err)
	}
	return err
}

// withJetStream calls work with a connection that has the provisioning credentials.
func withJetStream(ctx context.Context, env *service.Env, work func(jetstream.JetStream) error) error {
	connection, err := env.Connection(natsauth.RoleProvisioning)
	if err != nil {
		return err
	}
	nc, err := natsconn.Connect(ctx, connection)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("open jetstream: %w", err)
	}
	return work(js)
}
