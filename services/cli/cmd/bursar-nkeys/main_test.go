package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/services/page"
)

func TestRunWritesWhatAServerStartsWith(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args := []string{"-dir", dir, "-workspace", "acme", "-agents", "ci, lab", "-operators", "ann"}
	if code := run(args, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	opts, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(stdout.String(), "\n"); lines != len(opts.Nkeys) || !strings.Contains(stdout.String(), "agent lab of acme") {
		t.Errorf("%d users, and the output %s", len(opts.Nkeys), stdout.String())
	}
	seed, err := os.ReadFile(filepath.Join(dir, "secrets", "agents", "acme", "ci.nk"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stdout.String(), strings.TrimSpace(string(seed))) {
		t.Error("a seed was printed")
	}
	if _, err := page.LoadToken(filepath.Join(dir, "secrets", "page.token")); err != nil {
		t.Errorf("the token of the page: %v", err)
	}
	first := stdout.String()
	stdout.Reset()
	if code := run(args, &stdout, &stderr); code != exitOK || stdout.String() != first {
		t.Errorf("a second run, exit %d, made other keys", code)
	}
}

// TestWhoTheConfigurationKnowsHasCredentials compares the principals of deployments/bursar.yaml with those that get a
// seed by default: an agent with credentials that the configuration refuses helps nobody.
func TestWhoTheConfigurationKnowsHasCredentials(t *testing.T) {
	t.Parallel()
	document, err := config.Load(filepath.Join("..", "..", "..", "..", "deployments", "bursar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var agents []string
	for _, p := range document.Quota.Principals {
		if !slices.Contains(document.Admins, p.Name) {
			agents = append(agents, p.Name)
		}
	}
	if !slices.Equal(agents, natsauth.DefaultAgents()) || !slices.Equal(document.Admins, []string{natsauth.DefaultOperator}) {
		t.Errorf("the configuration knows %v and the operators %v, want %v and %s", agents, document.Admins, natsauth.DefaultAgents(), natsauth.DefaultOperator)
	}
}

func TestRunReportsUsage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		want int
	}{
		"unknown flag":   {[]string{"-x"}, exitUsage},
		"stray argument": {[]string{"x"}, exitUsage},
		"bad name":       {[]string{"-dir", t.TempDir(), "-agents", "\x1b"}, exitFailure},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(tc.args, &stdout, &stderr); got != tc.want || stderr.Len() == 0 {
			t.Errorf("%s: exit %d (%s), want %d", name, got, stderr.String(), tc.want)
		}
	}
}
