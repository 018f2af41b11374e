package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/failpoint"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/provision"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
)

// envService makes the test binary run the service as a process of its own, as its value (JSON) says.
const envService = "BURSAR_TEST_ANALYTICS"

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	if raw, ok := os.LookupEnv(envService); ok {
		os.Exit(runService(raw))
	}
	os.Exit(m.Run())
}

// connections is what a process needs to run the service.
type connections struct{ URL, KeyDir, ClickHouse string }

func (c connections) config(log *slog.Logger) (analytics.Config, error) {
	keys, err := natsauth.LoadOrCreate(c.KeyDir)
	if err != nil {
		return analytics.Config{}, err
	}
	store, storeErr := keys.Connection(natsauth.Service(natsauth.RoleAnalytics), natsconn.Config{URL: c.URL, Wait: true, Log: log})
	front, frontErr := keys.Connection(natsauth.Service(natsauth.RoleAnalyticsFront), natsconn.Config{URL: c.URL, Wait: true, Log: log})
	return analytics.Config{
		NATS: store, Front: front, ClickHouse: c.ClickHouse, Telemetry: telemetry.New("analytics", "test", log),
	}, errors.Join(storeErr, frontErr)
}

func runService(raw string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var c connections
	err := json.Unmarshal([]byte(raw), &c)
	if err == nil {
		var cfg analytics.Config
		if cfg, err = c.config(log); err == nil {
			if cfg.Failpoints, err = failpoint.FromEnv(os.Getenv); err == nil {
				err = analytics.Run(context.Background(), cfg, log)
			}
		}
	}
	log.Error("ended", "error", err)
	return 1
}

// site is a NATS server with authorisation on, provisioned, and a ClickHouse.
type site struct {
	t       testing.TB
	nats    *natsembed.Server
	keys    *natsauth.Keys
	server  *chembed.Server
	conns   connections
	writer  jetstream.JetStream
	commits []*ledger.Commit
	fleet   *fleet.Fleet
}

// patience is how long a test waits for something that must come.
const patience = time.Minute

var operator = natsauth.Operator("acme", "root")

func newSite(t testing.TB) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	keys, err := natsauth.LoadOrCreate(dir, operator, natsauth.Agent("acme", "ann"))
	if err != nil {
		t.Fatal(err)
	}
	users, err := keys.Users()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, nats: natstest.Start(t, natstest.Listen(), natstest.Users(users)), keys: keys, server: chtest.Start(t), fleet: fleet.New(3, 10*time.Second)}
	s.conns = connections{URL: s.nats.URL(), KeyDir: dir, ClickHouse: s.server.DSN(chembed.UserWriter)}
	sizes := provision.Defaults()
	for _, bytes := range []*int64{&sizes.LedgerMaxBytes, &sizes.KeyframesMaxBytes, &sizes.SuggestionsMaxBytes, &sizes.EventsMaxBytes} {
		*bytes = 64 << 20
	}
	sizes.LedgerMaxBytes = 4 << 30
	if err := provision.Ensure(t.Context(), s.jetStream(natsauth.Service(natsauth.RoleProvisioning)), sizes, nil); err != nil {
		t.Fatal(err)
	}
	s.writer = s.jetStream(natsauth.Service(natsauth.RoleAllocatorStore))
	return s
}

func (s *site) connect(id natsauth.Identity) *nats.Conn {
	s.t.Helper()
	cfg, err := s.keys.Connection(id, natsconn.Config{URL: s.nats.URL()})
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := natsconn.Connect(s.t.Context(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

func (s *site) jetStream(id natsauth.Identity) jetstream.JetStream {
	s.t.Helper()
	js, err := jetstream.New(s.connect(id))
	if err != nil {
		s.t.Fatal(err)
	}
	return js
}

// send publishes n commits.
func (s *site) send(n, commands int) {
	s.t.Helper()
	for range n {
		commit, data, err := s.fleet.Next(commands)
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := s.writer.Publish(s.t.Context(), wire.KeySubject(wire.BucketLedger, "acme"), data); err != nil {
			s.t.Fatal(err)
		}
		s.commits = append(s.commits, commit)
	}
}

// start runs the service in this process until the test ends, and returns its configuration.
func (s *site) start() analytics.Config {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	cfg, err := s.conns.config(log)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- analytics.Run(ctx, cfg, log) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("running the service: %v", err)
		}
	})
	return cfg
}

// compare waits for the last commit and compares ClickHouse with everything that was sent.
func (s *site) compare() analytics.Comparison {
	s.t.Helper()
	c, err := analytics.OpenComparer(s.server.DSN(chembed.UserAnalyst), "acme")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	last := s.commits[len(s.commits)-1]
	if err := c.Await(ctx, last.Ledger, last.Number); err != nil {
		s.t.Fatal(err)
	}
	for _, commit := range s.commits {
		if err := c.Add(ctx, commit); err != nil {
			s.t.Fatal(err)
		}
	}
	result, err := c.Finish(ctx, quota.Totals{}, last.Totals)
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// ask sends a query as an identity of workspace acme.
func ask[T any](t *testing.T, nc *nats.Conn, principal, verb, body string) (*T, error) {
	t.Helper()
	subject, err := wire.QuerySubject("acme", principal, verb)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := nc.Request(subject, []byte(body), 30*time.Second)
	if err != nil {
		t.Fatalf("%s %s: %v", verb, body, err)
	}
	var reply T
	_, err = wire.DecodeReply(msg.Data, &reply)
	return &reply, err
}

func TestServiceStoresAndAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.start()
	s.send(500, 2)
	if result := s.compare(); !result.OK() {
		t.Errorf("ClickHouse is not the ledger: %+v", result)
	}
	if err := cfg.Telemetry.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	last := s.commits[len(s.commits)-1]
	nc := s.connect(operator)
	from := wire.TimeOf(s.commits[0].At - quota.Instant(2*quota.Hour)).String()
	to := wire.TimeOf(last.At + 1).String()
	scope := `{"from":"` + from + `","to":"` + to + `"}`
	summary, err := ask[wire.SummaryReply](t, nc, "root", wire.VerbSummary, scope)
	if err != nil {
		t.Fatal(err)
	}
	if totals := last.Totals; summary.Totals.TotalTokens != totals.Used || summary.Totals.CostMicroUSD != totals.Cost ||
		summary.Decisions.Granted != totals.Granted || summary.Decisions.Denied != totals.Denied || summary.Through.Instant() != last.At {
		t.Errorf("summary %+v, want the totals of the ledger %+v", summary, totals)
	}
	history, err := ask[wire.HistoryReply](t, nc, "root", wire.VerbHistory, scope)
	if err != nil || history.Totals != summary.Totals {
		t.Errorf("history %+v, %v", history, err)
	}
	peaks, err := ask[wire.PeaksReply](t, nc, "root", wire.VerbPeaks, scope)
	if err != nil || len(peaks.Peaks) == 0 {
		t.Errorf("peaks %+v, %v", peaks, err)
	}
	if _, err := ask[wire.SummaryReply](t, nc, "root", wire.VerbSummary, `{"timeframe":"soon"}`); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("a wrong timeframe: %v, want it refused", err)
	}
	if n, err := testutil.GatherAndCount(cfg.Telemetry.Gatherer(), "bursar_analytics_lag_commits", "bursar_analytics_queries_total"); err != nil || n < 2 {
		t.Errorf("%d series of the lag and the queries (%v)", n, err)
	}
}

func TestQueriesAreAnsweredToTheAskerOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.start()
	s.send(1, 0)
	_ = s.compare()
	nc := s.connect(operator)
	replies, err := nc.SubscribeSync("_INBOX.acme.root.>")
	if err != nil {
		t.Fatal(err)
	}
	hostile := []string{
		"_INBOX.acme.ann.x", "_INBOX.other.root.x", "$KV.quota_ledger.acme", "$JS.API.STREAM.DELETE.KV_quota_ledger",
		"$JS.API.CONSUMER.RESET.KV_quota_ledger.analytics", "quota.v1.acme.event.root.x.usage.recorded", "_INBOX.acme.root",
	}
	if err := nc.Publish("quota.v1.acme.query.root.summary", nil); err != nil {
		t.Fatal(err)
	}
	for _, reply := range hostile {
		if err := nc.PublishRequest("quota.v1.acme.query.root.summary", reply, nil); err != nil {
			t.Fatal(err)
		}
	}
	// The answer to an honest request, sent last, comes alone.
	if err := nc.PublishRequest("quota.v1.acme.query.root.summary", "_INBOX.acme.root.honest", nil); err != nil {
		t.Fatal(err)
	}
	msg, err := replies.NextMsg(30 * time.Second)
	if err != nil || msg.Subject != "_INBOX.acme.root.honest" {
		t.Fatalf("answered at %v (%v), want the honest request's inbox", msg, err)
	}
	want := strings.NewReader(`
		# HELP bursar_analytics_queries_dropped_total Queries that asked for an answer where none may go.
		# TYPE bursar_analytics_queries_dropped_total counter
		bursar_analytics_queries_dropped_total 8
	`)
	if err := testutil.GatherAndCompare(cfg.Telemetry.Gatherer(), want, "bursar_analytics_queries_dropped_total"); err != nil {
		t.Error(err)
	}
}

func TestQueriesWhileClickHouseIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.start()
	s.send(20, 2)
	_ = s.compare()
	nc := s.connect(operator)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := ask[wire.SummaryReply](t, nc, "root", wire.VerbSummary, ""); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("without ClickHouse: %v, want unavailable", err)
	}
	s.send(1, 2)
	await(t, "not ready", func() bool { return cfg.Telemetry.Ready(t.Context()) != nil })
}

func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	awaitEvery(t, 20*time.Millisecond, patience, what, holds)
}

func awaitEvery(t testing.TB, every, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not %s within %s", what, patience)
		}
	}
}

// TestKilledAtEveryStep kills the process at each step of the way, several times over, and wants every
// commit once.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, point := range []failpoint.Name{failpoint.AnalyticsBeforeInsert, failpoint.AnalyticsAfterInsert, failpoint.AnalyticsBeforeAck} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			for range 3 {
				s.send(60, 2)
				s.runUntilKilled(string(point) + "=1*kill")
			}
			s.start()
			if result := s.compare(); !result.OK() {
				t.Errorf("ClickHouse is not the ledger: %+v", result)
			}
		})
	}
}

// runUntilKilled runs the service as a process of its own until a failpoint kills it.
func (s *site) runUntilKilled(points string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, selfOf(s.t))
	cmd.Env = append(os.Environ(), s.environment(points)...)
	cmd.Stderr = s.t.Output()
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || !errors.As(err, &exit) || exit.ExitCode() != -1 {
		s.t.Fatalf("the process ended with %v (%v), want it killed by %s", err, ctx.Err(), points)
	}
}

// environment makes the test binary run the service on this site.
func (s *site) environment(points string) []string {
	s.t.Helper()
	spec, err := json.Marshal(s.conns)
	if err != nil {
		s.t.Fatal(err)
	}
	return []string{envService + "=" + string(spec), failpoint.EnvVar + "=" + points}
}

func selfOf(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"empty": "", "native protocol": "clickhouse://127.0.0.1:9000", "no host": "http://", "garbage": "http://%zz"} {
		cfg := analytics.Config{ClickHouse: address}
		if err := cfg.Validate(); !errors.Is(err, analytics.ErrClickHouse) || !strings.Contains(err.Error(), "no telemetry") {
			t.Errorf("%s: %v, want both faults", name, err)
		}
	}
}
