package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/services/cli/internal/screen"
	"github.com/bursarhq/bursar/services/notification"
)

// notifyCommand tries the endpoints of a file.
type notifyCommand struct{ *app }

// notifyResult is what became of the trial message of one endpoint.
type notifyResult struct {
	Endpoint string `json:"endpoint"`
	OK       bool   `json:"ok"`
	Error    string `json:"error,omitempty"`
}

// notifyTimeout bounds all trial messages together.
const notifyTimeout = time.Minute

func (a *app) notify() *cobra.Command {
	c := &notifyCommand{app: a}
	return &cobra.Command{
		Use:   "notify FILE [ENDPOINT...]",
		Short: "Try the webhooks of a file with a message",
		Long: "Check a file of endpoints (webhooks and chat channels) and post to each, or to those that are named, a warning of\n" +
			"a limit that does not exist. It needs no running Bursar; what happens in one is posted by `bursar up --notify FILE`.",
		Example: "  bursar notify deployments/endpoints.yaml\n  bursar notify deployments/endpoints.yaml chat",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name the file of endpoints; deployments/endpoints.yaml is an example")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0], args[1:]) },
	}
}

func (c *notifyCommand) run(ctx context.Context, file string, names []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read endpoints: %w", err)
	}
	endpoints, err := notification.ParseEndpoints(file, text, c.process.Getenv)
	if err != nil {
		return err
	}
	if endpoints, err = named(endpoints, names); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	results, failed := make([]notifyResult, len(endpoints)), false
	for i, e := range endpoints {
		results[i] = notifyResult{Endpoint: e.Name, OK: true}
		if err := notification.Try(ctx, e, c.log); err != nil {
			results[i] = notifyResult{Endpoint: e.Name, Error: err.Error()}
			failed = true
		}
	}
	err = c.show(results, func() {
		for _, r := range results {
			if r.OK {
				c.line(r.Endpoint, c.screen.Paint(screen.Good, "took the message"))
				continue
			}
			c.line(r.Endpoint, c.screen.Paint(screen.Bad, screen.Clean(r.Error)))
		}
	})
	if err == nil && failed {
		err = errReported
	}
	return err
}

// named picks endpoints by their names; no names pick all.
func named(endpoints []notification.Endpoint, names []string) ([]notification.Endpoint, error) {
	if len(names) == 0 {
		return endpoints, nil
	}
	var all []string
	for _, e := range endpoints {
		all = append(all, e.Name)
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, usagef("there is no endpoint %q; the file has %s", name, strings.Join(all, ", "))
		}
	}
	return slices.DeleteFunc(endpoints, func(e notification.Endpoint) bool { return !slices.Contains(names, e.Name) }), nil
}
