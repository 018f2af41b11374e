package otlp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// desk keeps reports; it fails the first so many.
type desk struct {
	mu      sync.Mutex
	fails   int
	refusal error
	refuses map[string]error                // by agent; nothing of it is recorded
	reports map[string][]wire.ReportRequest // by agent
}

func (d *desk) agent(name string) Reporter { return deskAgent{d, name} }

type deskAgent struct {
	*desk
	name string
}

func (a deskAgent) Report(_ context.Context, r wire.ReportRequest) (*wire.ReservationReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails > 0 {
		a.fails--
		return nil, errors.New("nobody answers")
	}
	if err := a.refuses[a.name]; err != nil {
		return nil, err
	}
	if a.reports == nil {
		a.reports = map[string][]wire.ReportRequest{}
	}
	a.reports[a.name] = append(a.reports[a.name], r)
	return &wire.ReservationReply{}, a.refusal
}

// serve starts a receiver and gives the addresses of HTTP and gRPC.
func serve(t *testing.T, d *desk) (r *Receiver, overHTTP, overGRPC string) {
	t.Helper()
	r = &Receiver{Accounts: map[string]string{"claude": "max-1"}, Agent: d.agent, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	listen := func() net.Listener {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	web, rpc := listen(), listen()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, web, rpc) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r, web.Addr().String(), rpc.Addr().String()
}

// emit sends events the way a program instrumented with OpenTelemetry does, with an exporter of the official kit.
func emit(t *testing.T, exporter sdklog.Exporter, on []attribute.KeyValue, events ...map[attribute.Key]attribute.Value) {
	t.Helper()
	// The resource sorts the attributes where they stand, and tests share them.
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(resource.NewSchemaless(slices.Clone(on)...)), sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter)))
	logger := provider.Logger("com.anthropic.claude_code.events")
	for _, event := range events {
		var record otellog.Record
		record.SetTimestamp(time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC))
		for key, value := range event {
			record.AddAttributes(attribute.KeyValue{Key: key, Value: value})
		}
		logger.Emit(t.Context(), record)
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func apiRequest(id string, input, output int64) map[attribute.Key]attribute.Value {
	return map[attribute.Key]attribute.Value{
		"event.name": attribute.StringValue("api_request"), "request_id": attribute.StringValue(id), "session.id": attribute.StringValue("s1"),
		"model":        attribute.StringValue("claude-sonnet-4-5"),
		"input_tokens": attribute.Int64Value(input), "output_tokens": attribute.StringValue(fmt.Sprint(output)), // older versions send text
		"cache_read_tokens": attribute.Float64Value(7), "cache_creation_tokens": attribute.Int64Value(9),
	}
}

var claudeCode = []attribute.KeyValue{attribute.String("service.name", "claude-code")}

func TestRealExporters(t *testing.T) {
	t.Parallel()
	exporters := map[string]func(*testing.T, string, string) (sdklog.Exporter, error){
		"http": func(t *testing.T, overHTTP, _ string) (sdklog.Exporter, error) {
			return otlploghttp.New(t.Context(), otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(overHTTP), otlploghttp.WithCompression(otlploghttp.GzipCompression))
		},
		"grpc": func(t *testing.T, _, overGRPC string) (sdklog.Exporter, error) {
			return otlploggrpc.New(t.Context(), otlploggrpc.WithInsecure(), otlploggrpc.WithEndpoint(overGRPC))
		},
	}
	for name, newExporter := range exporters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{fails: 1} // the exporter is told to send it again, and does
			r, overHTTP, overGRPC := serve(t, d)
			exporter, err := newExporter(t, overHTTP, overGRPC)
			if err != nil {
				t.Fatal(err)
			}
			emit(t, exporter, claudeCode, apiRequest("req_1", 100, 50), apiRequest("req_2", 1, 2),
				map[attribute.Key]attribute.Value{"event.name": attribute.StringValue("user_prompt")},
				apiRequest("", 1, 1), // nothing to know it by
			)
			reports := d.reports["claude-code"]
			if len(reports) != 1 || len(reports[0].Usage) != 2 || reports[0].Account != "max-1" || reports[0].ReservationID != "" {
				t.Fatalf("got %+v", d.reports)
			}
			want := wire.UsageItem{
				OccurredAt: wire.TimeOf(quota.InstantOf(time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC))), CallID: "req_1", Model: "claude-sonnet-4-5",
				Tokens: wire.Tokens{Input: 100, CacheRead: 7, CacheWrite5m: 9, Output: 50}, Source: "otlp:claude-code", Session: "s1",
			}
			if reports[0].Usage[0] != want {
				t.Errorf("got %+v\nwant %+v", reports[0].Usage[0], want)
			}
			if got := r.Tally(); got != (Tally{Calls: 2, Tokens: 166 + 19, Other: 1, Unreadable: 1}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOddTextsHoldNothingUp(t *testing.T) {
	t.Parallel()
	d := &desk{}
	_, overHTTP, _ := serve(t, d)
	exporter, err := otlploghttp.New(t.Context(), otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(overHTTP))
	if err != nil {
		t.Fatal(err)
	}
	odd := apiRequest("req_1", 1, 1)
	odd["session.id"], odd["model"] = attribute.StringValue(strings.Repeat("é", 400)), attribute.StringValue(strings.Repeat("é", 400))
	emit(t, exporter, claudeCode, odd)
	item := d.reports["claude-code"][0].Usage[0]
	if len(item.Session) > wire.MaxTextBytes || len(item.Model) > wire.MaxNameBytes || !utf8.ValidString(item.Session+item.Model) {
		t.Errorf("got %+v", item)
	}
}

func TestCallsAreJoinedToReservations(t *testing.T) {
	t.Parallel()
	d := &desk{refusal: &wire.Error{Code: quota.CodeAllocationExceeded, Recorded: true}}
	_, overHTTP, _ := serve(t, d)
	exporter, err := otlploghttp.New(t.Context(), otlploghttp.WithInsecure(), otlploghttp.WithEndpoint(overHTTP))
	if err != nil {
		t.Fatal(err)
	}
	emit(t, exporter, append(claudeCode, attribute.String("allocation.id", "res-1"), attribute.String("agent.id", "reviewer")), apiRequest("req_1", 1, 1))
	if got := d.reports["reviewer"]; len(got) != 1 || got[0].ReservationID != "res-1" {
		t.Errorf("got %+v", d.reports)
	}
}

// TestARefusedCallHoldsUpNoOthers: what is refused for good is told as rejected and not asked for again, and the calls of
// others in the same export are recorded.
func TestARefusedCallHoldsUpNoOthers(t *testing.T) {
	t.Parallel()
	d := &desk{refuses: map[string]error{"bad": &wire.Error{Code: quota.CodeInvalid, Message: "no such account"}}}
	r, _, overGRPC := serve(t, d)
	conn, err := grpc.NewClient(overGRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := &collogs.ExportLogsServiceRequest{}
	const call = `{"attributes":[{"key":"event.name","value":{"stringValue":"claude_code.api_request"}},{"key":"request_id","value":{"stringValue":"%s"}},
		{"key":"input_tokens","value":{"intValue":"10"}},{"key":"agent.id","value":{"stringValue":"%s"}}]}`
	body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + fmt.Sprintf(call, "req_1", "bad") + `,` + fmt.Sprintf(call, "req_2", "good") + `]}]}]}`
	if err := decode("application/json", []byte(body), request); err != nil {
		t.Fatal(err)
	}
	response, err := collogs.NewLogsServiceClient(conn).Export(t.Context(), request)
	if err != nil || response.GetPartialSuccess().GetRejectedLogRecords() != 1 || !strings.Contains(response.GetPartialSuccess().GetErrorMessage(), "no such account") {
		t.Errorf("answered %v, %v", response, err)
	}
	if len(d.reports["good"]) != 1 {
		t.Errorf("got %+v", d.reports)
	}
	if got := r.Tally(); got != (Tally{Calls: 1, Tokens: 10, Refused: 1}) {
		t.Errorf("got %+v", got)
	}
}

// codexExport is an export of Codex in JSON, with trace ids in hexadecimal as the protocol wants them.
const codexExport = `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"codex_exec"}}]},"scopeLogs":[{"logRecords":[
	{"timeUnixNano":"1795600800000000000","traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","attributes":[
		{"key":"event.name","value":{"stringValue":"codex.sse_event"}},{"key":"event.kind","value":{"stringValue":"response.completed"}},
		{"key":"conversation.id","value":{"stringValue":"c1"}},{"key":"model","value":{"stringValue":"gpt-5.2-codex"}},
		{"key":"input_token_count","value":{"intValue":"100"}},{"key":"cached_token_count","value":{"intValue":"40"}},
		{"key":"output_token_count","value":{"intValue":"10"}},{"key":"future","value":{"arrayValue":{}}}]},
	{"attributes":[{"key":"event.name","value":{"stringValue":"codex.sse_event"}},{"key":"event.kind","value":{"stringValue":"response.created"}}]}]}]}]}`

func TestOverHTTP(t *testing.T) {
	t.Parallel()
	d := &desk{}
	r, address, _ := serve(t, d)
	r.Accounts["openai"] = "api-1"
	post := func(path, encoding, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", encoding)
		reply, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply.StatusCode, string(text)
	}
	if code, text := post("/v1/logs", "application/json", codexExport); code != http.StatusOK || text != "{}" {
		t.Fatalf("%d %s", code, text)
	}
	got := d.reports["codex"]
	if len(got) != 1 || got[0].Account != "api-1" || got[0].Usage[0].Tokens != (wire.Tokens{Input: 60, CacheRead: 40, Output: 10}) {
		t.Fatalf("got %+v", d.reports)
	}
	const metrics = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"claude_code.token.usage","sum":{"aggregationTemporality":1,
		"dataPoints":[{"asInt":"150"},{"asDouble":16}]}},{"name":"other","sum":{"aggregationTemporality":1,"dataPoints":[{"asInt":"9"}]}}]}]}]}`
	if code, text := post("/v1/metrics", "application/json; charset=utf-8", metrics); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	if got := r.Tally(); got != (Tally{Calls: 1, Tokens: 110, Measured: 166, Other: 1}) {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []struct {
		path, encoding, body string
		want                 int
	}{
		{"/v1/logs", "text/plain", "x", http.StatusUnsupportedMediaType},
		{"/v1/logs", "application/json", "{", http.StatusBadRequest},
		{"/v1/logs", "application/x-protobuf", "\xff", http.StatusBadRequest},
		{"/v1/traces", "application/json", "{}", http.StatusNotFound},
	} {
		if code, text := post(bad.path, bad.encoding, bad.body); code != bad.want || text == "" {
			t.Errorf("%s %s: %d %q", bad.path, bad.encoding, code, text)
		}
	}
	d.fails = 1
	if code, _ := post("/v1/logs", "application/json", codexExport); code != http.StatusServiceUnavailable {
		t.Errorf("nobody recorded it, and the answer is %d", code)
	}
}

func FuzzCalls(f *testing.F) {
	f.Add([]byte(codexExport))
	f.Fuzz(func(t *testing.T, body []byte) {
		request := &collogs.ExportLogsServiceRequest{}
		if decode("application/json", body, request) != nil {
			return
		}
		found, _, _ := calls(request)
		for _, c := range found {
			if c.ID == "" || c.Tokens.Input < 0 || c.Tokens.Total() < 0 {
				t.Errorf("got %+v", c)
			}
		}
	})
}
