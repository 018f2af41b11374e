// Command bursar-suggestion follows the ledger and publishes advice. `bursar up` runs the same service in its process.
package main

import (
	"context"
	"os"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/suggestion"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(service.Main(spec(), os.Args[1:], os.Stderr, os.Getenv)) }

func spec() service.Spec {
	return service.Spec{
		Name: "suggestion", Version: version,
		Summary: "Follow the ledger of every workspace and publish advice as suggestion.made events.",
		Run:     run,
	}
}

func run(ctx context.Context, env *service.Env) error {
	connection, err := env.Connection(natsauth.RoleSuggestion)
	if err != nil {
		return err
	}
	return suggestion.Run(ctx, suggestion.Config{NATS: connection, Telemetry: env.Telemetry}, env.Log)
}
