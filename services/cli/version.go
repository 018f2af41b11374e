package cli

import (
	"runtime"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/wire"
)

// versionDocument is the JSON of version.
type versionDocument struct {
	Version    string `json:"version"`
	Protocol   string `json:"protocol"`
	Go         string `json:"go"`
	NATS       string `json:"nats_server"` // the embedded one
	ClickHouse string `json:"clickhouse"`  // the release of the embedded engine
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program and of what it embeds",
		Example: "  bursar version\n  bursar version --json",
		Args:    exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := versionDocument{
				Version: a.process.Version, Protocol: wire.SubjectVersion, Go: runtime.Version(), NATS: server.VERSION, ClickHouse: chembed.Version,
			}
			return a.show(&v, func() {
				a.screen.Printf("bursar %s\n", v.Version)
				a.line("protocol", v.Protocol)
				a.line("go", v.Go)
				a.line("nats", v.NATS)
				a.line("clickhouse", v.ClickHouse)
			})
		},
	}
}
