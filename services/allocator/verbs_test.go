package allocator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/internal/site"
)

// served is a site with an allocator that serves.
type served struct {
	*site.Site
	t        *testing.T
	ctx      context.Context
	operator *client.Client
	watched  *telemetry.Telemetry
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{Site: site.Start(t, []string{"ann", "bob"}), t: t}
	cfg := serviceConfig(t, s.Site, nil)
	s.watched = cfg.Telemetry
	start(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	s.ctx, s.operator = ctx, s.Operator()
	if _, err := s.operator.GetConfig(ctx); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *served) agent(name string) *client.Agent { return s.Client("ann").Agent(name) }

func (s *served) reserve(a *client.Agent, n int64) *wire.ReservationReply {
	s.t.Helper()
	r, err := a.Reserve(s.ctx, reserveRequest(n))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestAgentVerbs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	files := int64(10)
	e, err := a.Estimate(s.ctx, wire.EstimateRequest{TaskType: "code_review", Files: &files, Model: "gpt-5"})
	if err != nil || e.TotalTokens != 8000 || e.Unpriced || e.CostMicroUSD == 0 {
		t.Errorf("estimate: %+v, %v", e, err)
	}
	if e, err = a.Estimate(s.ctx, wire.EstimateRequest{TaskType: "quick_query", Model: "nobody-knows"}); err != nil || !e.Unpriced || e.CostMicroUSD != 0 {
		t.Errorf("estimate of an unknown model: %+v, %v", e, err)
	}
	if _, err = a.Estimate(s.ctx, wire.EstimateRequest{TaskType: "juggling"}); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("estimate of an unknown task: %v", err)
	}
	r := s.reserve(a, 1000)
	x, err := a.Extend(s.ctx, wire.ExtendRequest{ReservationID: r.ReservationID, Tokens: tokens(500)})
	if err != nil || x.Granted.Tokens.Output != 1500 {
		t.Errorf("extend: %+v, %v", x, err)
	}
	_, err = a.Report(s.ctx, wire.ReportRequest{ReservationID: r.ReservationID, Usage: []wire.UsageItem{{CallID: "c", Tokens: tokens(1600)}}})
	if refused, ok := errors.AsType[*wire.Error](err); !ok || !errors.Is(err, wire.ErrAllocationExceeded) || !refused.Recorded || refused.Retryable {
		t.Errorf("an overrun: %v", err)
	}
	status, err := a.Status(s.ctx, wire.StatusRequest{})
	if err != nil || len(status.Reservations) != 1 || len(status.Limits) != 1 || status.Limits[0].Used != 1600 || status.Team != "core" || status.Totals.Live != 1 {
		t.Errorf("status: %+v, %v", status, err)
	}
	released, err := a.Release(s.ctx, wire.ReleaseRequest{ReservationID: r.ReservationID, Reason: "done"})
	if err != nil || released.Outcome != "released" {
		t.Errorf("release: %+v, %v", released, err)
	}
	if _, err = a.Settle(s.ctx, wire.SettleRequest{ReservationID: r.ReservationID}); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("settle what is closed: %v", err)
	}
	if _, err = s.agent("a2").Settle(s.ctx, wire.SettleRequest{ReservationID: r.ReservationID}); !errors.Is(err, wire.ErrAllocationNotFound) {
		t.Errorf("settle what is another agent's: %v", err)
	}
	used := int64(5000)
	o, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Window: "day", Used: &used, Source: "test"})
	if err != nil || !o.Recorded {
		t.Errorf("observe: %+v, %v", o, err)
	}
	if _, err = a.Reserve(s.ctx, wire.ReserveRequest{Provider: "nobody", Model: "m", Tokens: tokens(1)}); !errors.Is(err, wire.ErrProviderNotSupported) {
		t.Errorf("an unknown provider: %v", err)
	}
}

func TestListsComeInPages(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	var want []string
	for range 7 {
		want = append(want, s.reserve(a, 10).ReservationID)
	}
	s.reserve(s.agent("a2"), 10)
	if _, err := a.Release(s.ctx, wire.ReleaseRequest{ReservationID: want[0]}); err != nil {
		t.Fatal(err)
	}
	for _, closed := range []bool{false, true} {
		var got []string
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			page, err := a.List(s.ctx, wire.ListRequest{Closed: closed, Limit: 3, After: after})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Reservations {
				got = append(got, r.ReservationID)
			}
			after = page.Next
		}
		expected := slices.Clone(want)
		if !closed {
			expected = expected[1:]
		}
		slices.Sort(got)
		slices.Sort(expected)
		if !slices.Equal(got, expected) {
			t.Errorf("closed too %v: %d reservations, want %d", closed, len(got), len(expected))
		}
	}
	if _, err := a.List(s.ctx, wire.ListRequest{After: uuid.NewString()}); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("a page after nothing: %v", err)
	}
	all, err := s.operator.Reservations(s.ctx, wire.ReservationsRequest{Agent: "a2"})
	if err != nil || len(all.Reservations) != 1 || all.Reservations[0].Agent != "a2" {
		t.Errorf("reservations of a2: %+v, %v", all, err)
	}
}

func TestAdminVerbs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	r := s.reserve(a, 100)
	config, err := s.operator.GetConfig(s.ctx)
	if err != nil || config.ConfigVersion != 1 || len(config.Config.Accounts) != 1 {
		t.Errorf("get-config: %+v, %v", config, err)
	}
	if _, err := s.operator.Hold(s.ctx, wire.HoldRequest{Target: "team", Name: "core", Reason: "lunch"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	_, err = a.Reserve(ctx, reserveRequest(1))
	if refused, ok := errors.AsType[*wire.Error](err); !ok || refused.Code != "unavailable" || !strings.Contains(refused.Message, "lunch") || !refused.Decided {
		t.Errorf("reserve while held back: %v", err)
	}
	accounts, err := s.operator.Accounts(s.ctx, wire.AccountsRequest{})
	if err != nil || len(accounts.Blocks) != 1 || accounts.Accounts[0].Limits[0].Held != 100 {
		t.Errorf("accounts: %+v, %v", accounts, err)
	}
	if _, err := s.operator.Accounts(s.ctx, wire.AccountsRequest{Account: "none"}); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("an unknown account: %v", err)
	}
	if _, err := s.operator.Resume(s.ctx, wire.ResumeRequest{Target: "team", Name: "core"}); err != nil {
		t.Error(err)
	}
	if revoked, err := s.operator.Revoke(s.ctx, wire.RevokeRequest{ReservationID: r.ReservationID}); err != nil || revoked.Outcome != "revoked" {
		t.Errorf("revoke: %+v, %v", revoked, err)
	}
	_, err = s.operator.Apply(s.ctx, wire.ApplyRequest{Document: "version: 1\nteems: []\naccounts: 7\n"})
	if refused, ok := errors.AsType[*wire.Error](err); !ok || len(refused.Details.Faults) < 2 || refused.Details.Faults[0].Line != 2 {
		t.Errorf("apply a faulty document: %v", err)
	}
	if _, err := s.operator.Apply(s.ctx, wire.ApplyRequest{Document: testConfig, IfVersion: 9}); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("apply to another version: %v", err)
	}
	applied, err := s.operator.Apply(s.ctx, wire.ApplyRequest{Document: testConfig, IfVersion: 1})
	if err != nil || applied.ConfigVersion != 2 {
		t.Errorf("apply: %+v, %v", applied, err)
	}
	report, err := s.operator.Verify(s.ctx)
	if err != nil || !report.OK || report.FirstCommit != 1 || report.Epoch != 1 || report.Reservations != 1 {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

// What a request id was answered is the answer for ever, to the same question only.
func TestRequestIDs(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	request := reserveRequest(100)
	request.RequestID = uuid.Must(uuid.NewV7()).String()
	first, err := a.Reserve(s.ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Reserve(s.ctx, request)
	if err != nil || again.ReservationID != first.ReservationID {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if _, err := s.agent("a2").Reserve(s.ctx, request); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("another agent with the same id: %v", err)
	}
	if other, err := s.Client("bob").Agent("a1").Reserve(s.ctx, request); !errors.Is(err, wire.ErrInvalid) && (err != nil || other.ReservationID == first.ReservationID) {
		t.Errorf("another principal with the same id: %+v, %v", other, err)
	}
	request.Tokens = tokens(101)
	if _, err := a.Reserve(s.ctx, request); !errors.Is(err, wire.ErrConflict) {
		t.Errorf("another question with the same id: %v", err)
	}
	old := reserveRequest(1)
	old.RequestID = "01890000-0000-7000-8000-000000000000" // of 2023
	if _, err := a.Reserve(s.ctx, old); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("an id beyond the horizon: %v", err)
	}
}

// Answers that are errors say so in the headers that tools for NATS services read.
func TestRefusalsOnTheWire(t *testing.T) {
	t.Parallel()
	s := serve(t)
	nc := s.Conn(natsauth.Agent(site.Workspace, "ann"))
	tests := []struct {
		name, verb, body, status, code string
	}{
		{"no JSON", wire.VerbReserve, "{", "400", "invalid"},
		{"unknown field", wire.VerbReserve, `{"request_id":"0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10","provider":"openai","model":"m","tokns":{}}`, "400", "invalid"},
		{"no request id", wire.VerbRelease, `{"reservation_id":"x"}`, "400", "invalid"},
		{"unknown reservation", wire.VerbStatus, `{"reservation_id":"0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10"}`, "404", "allocation_not_found"},
		{"too much", wire.VerbReserve, `{"request_id":"` + uuid.Must(uuid.NewV7()).String() + `","provider":"openai","model":"gpt-5","tokens":{"output":100001}}`, "429", "insufficient_quota"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			subject, err := wire.AgentSubject(site.Workspace, "ann", "a1", tt.verb)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := nc.RequestWithContext(t.Context(), subject, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got := answer.Header.Get(micro.ErrorCodeHeader); got != tt.status {
				t.Errorf("status %q, want %s", got, tt.status)
			}
			var body wire.ErrorReply
			if err := json.Unmarshal(answer.Data, &body); err != nil || string(body.Error.Code) != tt.code || answer.Header.Get(micro.ErrorHeader) != tt.code {
				t.Errorf("body %s, %v", answer.Data, err)
			}
		})
	}
}

// A request whose answer is to go anywhere but to the requester's inbox is dropped and counted.
func TestForeignReplySubjectsAreDropped(t *testing.T) {
	t.Parallel()
	s := serve(t)
	nc := s.Conn(natsauth.Agent(site.Workspace, "ann"))
	subject, err := wire.AgentSubject(site.Workspace, "ann", "a1", wire.VerbStatus)
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"$KV.quota_ledger.default", "_INBOX.default.bob.x", "_INBOX.default.ann", "_INBOX.default.annx.y", ""} {
		if err := nc.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.RequestWithContext(s.ctx, subject, []byte("{}")); err != nil { // comes after the others
		t.Fatal(err)
	}
	if page := s.metrics(); !strings.Contains(page, `bursar_requests_dropped_total{reason="reply",workspace="default"} 5`) {
		t.Errorf("the drops are not counted:\n%s", lines(page, "dropped"))
	}
}

// A client that spells names in another way is told so: whose it is is plain all the same.
func TestAnAgentInAnotherSpellingIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	nc := s.Conn(natsauth.Agent(site.Workspace, "ann"))
	for token, want := range map[string]string{
		"a=2e1":                  "write = and two upper case hex digits",
		"=41":                    `write "A"`,
		"_x":                     `write "=5Fx"`,
		"=07":                    "control characters",
		strings.Repeat("x", 129): "129 bytes, at most 128 are allowed",
	} {
		answer, err := nc.RequestWithContext(s.ctx, "quota.v1."+site.Workspace+".agent.ann."+token+"."+wire.VerbStatus, []byte("{}"))
		if err != nil {
			t.Fatalf("%s: %v", token, err)
		}
		var body wire.ErrorReply
		if err := json.Unmarshal(answer.Data, &body); err != nil || body.Error.Code != "invalid" || !strings.Contains(body.Error.Message, want) {
			t.Errorf("%s: %s, want %q", token, answer.Data, want)
		}
	}
	// Nor does that make an answer go elsewhere.
	if err := nc.PublishMsg(&nats.Msg{Subject: "quota.v1." + site.Workspace + ".agent.ann.=2e.status", Reply: "_INBOX.default.bob.x", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.RequestWithContext(s.ctx, "quota.v1."+site.Workspace+".agent.ann.a.status", []byte("{}")); err != nil { // comes after it
		t.Fatal(err)
	}
	if page := s.metrics(); !strings.Contains(page, `bursar_requests_dropped_total{reason="reply",workspace="default"} 1`) {
		t.Errorf("the drop is not counted:\n%s", lines(page, "dropped"))
	}
}

func (s *served) metrics() string {
	s.t.Helper()
	server := httptest.NewServer(s.watched.Handler())
	defer server.Close()
	request, err := http.NewRequestWithContext(s.ctx, http.MethodGet, server.URL+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(page)
}

// lines gives the lines of a page that contain a word.
func lines(page, word string) string {
	var found []string
	for line := range strings.Lines(page) {
		if strings.Contains(line, word) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a-very-special-agent")
	r := s.reserve(a, 1000)
	s.reserve(a, 50)
	if _, err := a.Settle(s.ctx, wire.SettleRequest{ReservationID: r.ReservationID, Usage: []wire.UsageItem{{Tokens: tokens(1200)}}}); !errors.Is(err, wire.ErrAllocationExceeded) {
		t.Fatal(err)
	}
	if _, err := a.Reserve(s.ctx, reserveRequest(100_000)); !errors.Is(err, wire.ErrInsufficientQuota) {
		t.Fatal(err)
	}
	page := s.metrics()
	for _, want := range []string{
		`bursar_allocator_leading{workspace="default"} 1`,
		`bursar_ledger_epoch{workspace="default"} 1`,
		`bursar_reservations_live{workspace="default"} 1`,
		`bursar_agents_live{workspace="default"} 1`,
		`bursar_reservations_queued{workspace="default"} 0`,
		`bursar_tokens_held{workspace="default"} 50`,
		`bursar_tokens_total{what="used",workspace="default"} 1200`,
		`bursar_tokens_total{what="overrun",workspace="default"} 200`,
		`bursar_reservations_total{what="exhausted",workspace="default"} 1`,
		`bursar_reservations_total{what="expired",workspace="default"} 0`,
		`bursar_reservations_total{what="overrun",workspace="default"} 1`,
		`bursar_requests_total{code="ok",verb="reserve",workspace="default"} 2`,
		`bursar_requests_total{code="insufficient_quota",verb="reserve",workspace="default"} 1`,
		`bursar_ledger_publish_outcomes_total{verdict="unknown",workspace="default"} 0`,
		`bursar_ledger_alarm{kind="full",workspace="default"} 0`,
		`bursar_ledger_halted{workspace="default"} 0`,
		"bursar_ledger_commits_total", "bursar_ledger_commit_seconds_bucket", "bursar_ledger_commit_answers_bucket",
		"bursar_due_delay_seconds_bucket", "bursar_relay_lag_commits",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("/metrics lacks %s; it has\n%s", want, lines(page, strings.SplitN(want, "{", 2)[0]))
		}
	}
	for _, name := range documented(t) {
		if !strings.Contains(page, "# HELP "+name+" ") {
			t.Errorf("docs/allocator.md names %s, which /metrics lacks", name)
		}
	}
	if strings.Contains(page, "special") {
		t.Error("/metrics names an agent")
	}
	if err := s.watched.Ready(s.ctx); err != nil {
		t.Errorf("ready: %v", err)
	}
}

// documented lists the metrics that the operators' page names.
func documented(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/allocator.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(bursar_[a-z_]+)`").FindAllStringSubmatch(string(page), -1)
	found := make([]string, len(names))
	for i, name := range names {
		found[i] = name[1]
	}
	if len(found) == 0 {
		t.Error("docs/allocator.md names no metric")
	}
	return found
}

// A process that stands by is ready, since all is well without it; one that is halted is not.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := serve(t)
	standby := serviceConfig(t, s.Site, nil)
	start(t, standby)
	eventually(t, "the standby is ready", func() bool { return standby.Telemetry.Ready(s.ctx) == nil })
	store := s.JetStream(natsauth.RoleAllocatorStore)
	if _, err := store.Publish(s.ctx, wire.KeySubject(wire.BucketLedger, site.Workspace), []byte("somebody else writes")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, 3*time.Second)
	defer cancel()
	if _, err := s.agent("a").Reserve(ctx, reserveRequest(1)); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("a halted ledger: %v", err)
	}
	for _, watched := range []*telemetry.Telemetry{s.watched, standby.Telemetry} {
		eventually(t, "a process that has seen the damage is not ready", func() bool {
			err := watched.Ready(s.ctx)
			return err != nil && strings.Contains(err.Error(), "halted")
		})
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
