package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/runner"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/page"
)

// PageOff in place of an address serves no page.
const PageOff = "off"

func (c *Config) checkPage() error {
	if c.PageListen == "" || c.PageListen == PageOff {
		return nil
	}
	if err := page.CheckAddress(c.PageListen); err != nil {
		return fmt.Errorf("--page-listen: %w", err)
	}
	return nil
}

// showing serves the page. The address is taken at the start, so that one in use is told before anything serves.
func (s *system) showing() runner.Part {
	const name = "page"
	if s.cfg.PageListen == PageOff {
		return runner.Part{Name: name, Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}
	}
	part := s.service(name, func(ctx context.Context) error {
		cfg := page.Config{
			Workspace: s.cfg.Workspace, Viewer: natsauth.DefaultViewer, Listener: s.page, Token: s.pageToken, Telemetry: s.telemetry, Version: s.cfg.Version,
		}
		var err error
		if cfg.Asking, err = s.connection(natsauth.Viewer(s.cfg.Workspace, natsauth.DefaultViewer)); err != nil {
			return err
		}
		if cfg.Reading, err = s.connection(natsauth.Service(natsauth.RolePage)); err != nil {
			return err
		}
		return page.Run(ctx, cfg, s.log.With("service", name))
	})
	part.Start = func(ctx context.Context) (err error) {
		if s.cfg.PageLogin || s.cfg.PageListen != "" && !page.Loopback(s.cfg.PageListen) {
			s.endpoints.PageToken = datadir.Dir(s.cfg.Dir.Absolute()).PageToken()
			if s.pageToken, err = page.LoadOrCreateToken(s.endpoints.PageToken); err != nil {
				return err
			}
		}
		if s.page, err = s.listenForPage(ctx); err != nil {
			return err
		}
		s.endpoints.Page = "http://" + s.page.Addr().String()
		return nil
	}
	part.Stop = func(context.Context) error {
		_ = s.page.Close() // once more, unless nothing was ever served
		return nil
	}
	return part
}

// listenForPage takes the address that was asked for, or the usual one; where another Bursar has that, any free port will do.
func (s *system) listenForPage(ctx context.Context) (net.Listener, error) {
	asked := s.cfg.PageListen
	listener, err := page.Listen(ctx, cmp.Or(asked, page.DefaultAddress))
	switch {
	case !errors.Is(err, syscall.EADDRINUSE):
		return listener, err
	case asked != "":
		return nil, fmt.Errorf("the address of the page, %s, is taken, perhaps by another Bursar: end that one, or give --page-listen 127.0.0.1:0 for any free port, or --page-listen off for no page: %w",
			asked, err)
	}
	return page.Listen(ctx, "127.0.0.1:0")
}
