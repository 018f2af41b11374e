// Command bursar-notification tells webhooks what happens. `bursar up --notify FILE` runs the same service in its process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/notification"
)

// version is set by the linker.
var version = "unknown"

// envFile is the variable of the flag -endpoints.
const envFile = "BURSAR_ENDPOINTS"

func main() { os.Exit(service.Main(spec(), os.Args[1:], os.Stderr, os.Getenv)) }

func spec() service.Spec {
	var file string
	return service.Spec{
		Name: "notification", Version: version,
		Summary: "Tell webhooks and chat channels of thresholds, exhausted limits and suggestions.",
		Flags: func(set *flag.FlagSet, env func(variable, otherwise string) string) {
			set.StringVar(&file, "endpoints", env(envFile, ""), "`FILE` that says who is told of what ($"+envFile+")")
		},
		Run: func(ctx context.Context, env *service.Env) error { return run(ctx, env, file) },
	}
}

func run(ctx context.Context, env *service.Env, file string) error {
	if file == "" {
		return errors.New("say who is told of what: -endpoints FILE; deployments/endpoints.yaml is an example")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read endpoints: %w", err)
	}
	endpoints, err := notification.ParseEndpoints(file, text, os.Getenv)
	if err != nil {
		return err
	}
	connection, err := env.Connection(natsauth.RoleNotification)
	if err != nil {
		return err
	}
	return notification.Run(ctx, notification.Config{NATS: connection, Telemetry: env.Telemetry, Endpoints: endpoints}, env.Log)
}
