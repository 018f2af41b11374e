package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/internal/site"
)

// envRun makes this test's program the command itself.
const envRun = "BURSAR_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(envRun) != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

const statusJSON = `{"model":{"display_name":"Opus"},"rate_limits":{"five_hour":{"used_percentage":23.5},"seven_day":{"used_percentage":41}}}`

// statusLine runs `bursar statusline` as Claude Code does, as a process of its own.
func statusLine(tb testing.TB, env ...string) (line string, took time.Duration) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), exe, "statusline", "--account", "claude-max", "--agent", "builder")
	cmd.Env = append([]string{envRun + "=1", "HOME=" + os.Getenv("HOME"), "BURSAR_DATA_DIR=" + tb.TempDir()}, env...)
	cmd.Stdin = strings.NewReader(statusJSON)
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		tb.Fatal(err)
	}
	return string(out), time.Since(start)
}

// TestStatusLineProcess: the program as a whole prints the line and ends well, without a Bursar.
func TestStatusLineProcess(t *testing.T) {
	t.Parallel()
	if line, _ := statusLine(t); line != "session 24% | weekly 41%\n" {
		t.Errorf("%q", line)
	}
}

// BenchmarkStatusLine measures from the start of the process to its end: with a broker that answers, with none, and with one
// that accepts and is silent.
func BenchmarkStatusLine(b *testing.B) {
	s := site.Start(b, []string{"demo"}, natstest.Listen())
	parsed, err := config.Default()
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	log := slog.New(slog.DiscardHandler)
	go func() {
		done <- allocator.Run(ctx, allocator.Config{
			Workspaces: []string{site.Workspace}, Initial: &parsed.Quota, Telemetry: telemetry.New("allocator", "0.0.0", log), RelayElsewhere: true,
			Front: s.Service(natsauth.RoleAllocatorFront), Store: s.Service(natsauth.RoleAllocatorStore),
		}, log)
	}()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	if _, err := s.Operator().GetConfig(b.Context()); err != nil {
		b.Fatal(err)
	}
	hole, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = hole.Close() })
	seed := s.Connection(natsauth.Agent(site.Workspace, "demo")).NkeySeedFile
	for _, c := range []struct {
		name string
		env  []string
	}{
		{"broker", []string{"BURSAR_SERVER=" + s.Server.URL(), "BURSAR_PRINCIPAL=demo", "BURSAR_NKEY=" + seed}},
		{"away", []string{"BURSAR_SERVER=nats://127.0.0.1:1"}},
		{"silent", []string{"BURSAR_SERVER=nats://" + hole.Addr().String()}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				_, took := statusLine(b, append(c.env, "XDG_CACHE_HOME="+b.TempDir())...)
				times = append(times, took)
			}
			slices.Sort(times)
			at := func(q float64) float64 { return times[int(q*float64(len(times)-1))].Seconds() * 1000 }
			b.ReportMetric(at(0.5), "p50-ms")
			b.ReportMetric(at(0.95), "p95-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
	reply, err := s.Operator().Accounts(b.Context(), wire.AccountsRequest{Account: "claude-max"})
	if err != nil || reply.Accounts[0].Limits[0].Observed == nil {
		b.Errorf("nothing was handed in: %+v, %v", reply, err)
	}
}
