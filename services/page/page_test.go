package page

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/telemetry"
)

func TestTheTokenIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.token")
	made, err := LoadOrCreateToken(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateToken(file)
	if err != nil || again != made || len(made) < tokenBytes {
		t.Errorf("again %q (%v), want the same %d characters", string(again), err, len(made))
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != tokenMode {
		t.Errorf("mode %v (%v), want %o", info.Mode(), err, tokenMode)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateToken(file); !errors.Is(err, ErrToken) {
		t.Errorf("a file that others may read: %v, want %v", err, ErrToken)
	}
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("abc\n"), tokenMode); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadToken(short); !errors.Is(err, ErrToken) {
		t.Errorf("a short one: %v, want %v", err, ErrToken)
	}
}

func TestNoLogTellsTheToken(t *testing.T) {
	t.Parallel()
	const token = Token("do-not-tell-this-to-anybody-at-all")
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "token", token)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", Config{Token: token})
	fmt.Fprintf(&out, "%v %s %+v", token, token, Config{Token: token})
	if strings.Contains(out.String(), string(token)) {
		t.Errorf("it is told: %s", out.String())
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	link := Link("0123456789012345678901234567890123456789", "https://bursar.example/", time.Now())
	if !strings.HasPrefix(link, "https://bursar.example/login#") || strings.Contains(link, "0123456789") {
		t.Errorf("link %s", link)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ valid, loopback bool }{
		"127.0.0.1:8420": {true, true}, "localhost:0": {true, true}, "[::1]:1": {true, true}, "0.0.0.0:8420": {true, false}, ":8420": {true, false},
		"192.168.1.2:80": {true, false}, "bursar.example:80": {true, false}, "127.0.0.1": {false, false}, "127.0.0.1:x": {false, true}, "127.0.0.1:70000": {false, true}, "": {false, false},
	} {
		if valid := CheckAddress(address) == nil; valid != want.valid || Loopback(address) != want.loopback {
			t.Errorf("%q: valid %v, loopback %v, want %+v", address, valid, Loopback(address), want)
		}
	}
}

// TestAnExposedPageNeedsAToken wants a page that other machines reach refused, unless it asks who they are.
func TestAnExposedPageNeedsAToken(t *testing.T) {
	t.Parallel()
	listener, err := Listen(t.Context(), "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	cfg := Config{Workspace: "w", Viewer: "v", Listener: listener, Telemetry: telemetry.New("page", "", slog.New(slog.DiscardHandler))}
	if err := Run(t.Context(), cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrExposed) {
		t.Errorf("error %v, want %v", err, ErrExposed)
	}
	cfg.Token = "0123456789012345678901234567890123456789"
	if err := cfg.Validate(); err != nil {
		t.Errorf("with a token: %v", err)
	}
	var none net.Listener
	cfg.Listener = none
	if err := cfg.Validate(); err == nil {
		t.Error("no listener is accepted")
	}
}
