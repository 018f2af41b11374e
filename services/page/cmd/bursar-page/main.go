// Command bursar-page serves the page of a workspace. `bursar up` runs the same service in its process.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/service"
	"github.com/bursarhq/bursar/services/page"
)

// version is set by the linker.
var version = "unknown"

const (
	envWorkspace = "BURSAR_WORKSPACE"
	envViewer    = "BURSAR_VIEWER"
	envListen    = "BURSAR_PAGE_LISTEN"
	envToken     = "BURSAR_PAGE_TOKEN_FILE"
)

func main() { os.Exit(service.Main(spec(), os.Args[1:], os.Stderr, os.Getenv)) }

// flags are those of the page alone.
type flags struct {
	workspace, viewer string
	listen, tokenFile string
}

func spec() service.Spec {
	var f flags
	return service.Spec{
		Name: "page", Version: version,
		Summary: "Show a workspace in a browser, live: on loopback without a login, elsewhere with one.",
		Flags:   f.add, Run: f.run,
	}
}

func (f *flags) add(set *flag.FlagSet, env func(variable, otherwise string) string) {
	set.StringVar(&f.workspace, "workspace", env(envWorkspace, natsauth.DefaultWorkspace), "`NAME` of the workspace to show ($"+envWorkspace+")")
	set.StringVar(&f.viewer, "viewer", env(envViewer, natsauth.DefaultViewer), "`NAME` of the viewer as whom to ask; its seed is viewer.nk among the keys ($"+envViewer+")")
	set.StringVar(&f.listen, "listen", env(envListen, page.DefaultAddress), "`ADDRESS` of the page, host and port ($"+envListen+")")
	set.StringVar(&f.tokenFile, "token-file", env(envToken, ""), "`FILE` with the token of a login, made where there is none; needed where the address is not loopback ($"+envToken+")")
}

func (f *flags) run(ctx context.Context, env *service.Env) error {
	cfg := page.Config{Workspace: f.workspace, Viewer: f.viewer, Telemetry: env.Telemetry, Version: version}
	var err error
	if cfg.Asking, err = env.Principal(natsauth.Viewer(f.workspace, f.viewer)); err != nil {
		return err
	}
	if cfg.Reading, err = env.Connection(natsauth.RolePage); err != nil {
		return err
	}
	if f.tokenFile != "" {
		if cfg.Token, err = page.LoadOrCreateToken(f.tokenFile); err != nil {
			return err
		}
	}
	if cfg.Listener, err = page.Listen(ctx, f.listen); err != nil {
		return err
	}
	err = page.Run(ctx, cfg, env.Log)
	if errors.Is(err, page.ErrExposed) {
		return fmt.Errorf("%w: give -token-file FILE, or listen on loopback", err)
	}
	return err
}
