//go:build dashboards

package dashboards

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

const (
	// scrapes of /metrics are taken as if they were scrapeInterval apart.
	scrapes        = 6
	scrapeInterval = 15 * time.Second
	buildLimit     = 9 * time.Minute
	startLimit     = 90 * time.Second
)

// TestEveryPromQLQueryFindsItsMetrics lets a fleet work on a whole Bursar, scrapes it meanwhile, and evaluates every query
// with Prometheus' engine. Each metric that a query names must be there, and each label that it groups or is labelled by.
func TestEveryPromQLQueryFindsItsMetrics(t *testing.T) {
	t.Parallel()
	b := startBursar(t)
	data := &memory{start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for range scrapes {
		b.run(t, "replay", "--demo", "--limit", "12")
		data.scrape(t, b.metrics)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, EnableAtModifier: true, Parser: parser.NewParser(parser.Options{})})
	t.Cleanup(func() { _ = engine.Close() })
	eachPromQL(t, func(where string, q *target, expr string) {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		checkSelectors(t, where, data, parsed)
		query, err := engine.NewRangeQuery(t.Context(), data, nil, expr, data.at(scrapes-2), data.at(scrapes-1), scrapeInterval)
		if err != nil {
			t.Errorf("%s: %s: %v", where, expr, err)
			return
		}
		defer query.Close()
		matrix, err := query.Exec(t.Context()).Matrix()
		if err != nil || len(matrix) == 0 {
			t.Errorf("%s: %s gives %v, %v, want a series", where, expr, matrix, err)
			return
		}
		checkLegend(t, where, q.LegendFormat, matrix)
	})
}

// checkSelectors wants series for every metric of an expression, and the labels that it groups by on them.
func checkSelectors(t *testing.T, where string, data *memory, expr parser.Expr) {
	t.Helper()
	var grouped []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			grouped = append(grouped, n.Grouping...)
		case *parser.VectorSelector:
			found := data.matching(n.LabelMatchers)
			if len(found) == 0 {
				t.Errorf("%s: there is no series %s", where, n)
				return nil
			}
			for _, name := range grouped {
				if !slices.ContainsFunc(found, func(s *series) bool { return s.labels.Has(name) }) {
					t.Errorf("%s: %s has no label %s", where, n, name)
				}
			}
		}
		return nil
	})
}

var legendLabel = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// checkLegend wants the labels of a legend on some series.
func checkLegend(t *testing.T, where, legend string, matrix promql.Matrix) {
	t.Helper()
	for _, match := range legendLabel.FindAllStringSubmatch(legend, -1) {
		if !slices.ContainsFunc(matrix, func(s promql.Series) bool { return s.Metric.Has(match[1]) }) && !onlyVector(matrix) {
			t.Errorf("%s: no series has the label %s of the legend: %v", where, match[1], matrix)
		}
	}
}

// onlyVector tells whether an `or vector(0)` stands in for series that are not there.
func onlyVector(matrix promql.Matrix) bool { return len(matrix) == 1 && matrix[0].Metric.Len() == 0 }

// bursar is a running system.
type bursar struct {
	binary, dir, metrics string
}

// startBursar builds the command and runs a whole system until the test ends.
func startBursar(t *testing.T) *bursar {
	t.Helper()
	b := &bursar{binary: filepath.Join(t.TempDir(), "bursar"), dir: filepath.Join(t.TempDir(), "data")}
	ctx, cancel := context.WithTimeout(t.Context(), buildLimit)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "./services/cli/cmd/bursar")
	build.Dir, build.Env = root, append(os.Environ(), "GOWORK=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	up := exec.CommandContext(t.Context(), b.binary, "up", "--json", "--data-dir", b.dir, "--nats-port", "0", "--clickhouse-port", "0")
	up.Stderr = t.Output()
	up.Cancel = func() error { return up.Process.Signal(syscall.SIGTERM) }
	up.WaitDelay = startLimit
	out, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Wait() }) // the test's context has ended by now, and with it the process
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n') // a line that is cut short cannot be decoded
		line <- text
	}()
	select {
	case text := <-line:
		var ready struct{ Metrics string }
		if err := json.Unmarshal([]byte(text), &ready); err != nil || ready.Metrics == "" {
			t.Fatalf("up wrote %q, not that it is ready (%v)", text, err)
		}
		b.metrics = ready.Metrics + "/metrics"
	case <-time.After(startLimit):
		t.Fatalf("up was not ready within %s", startLimit)
	}
	return b
}

func (b *bursar) run(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), b.binary, append(args, "--data-dir", b.dir)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("bursar %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// scrape takes what /metrics says as the next sample of each series, with the labels that Prometheus adds.
func (m *memory) scrape(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	m.take(t, response.Body)
}

func (m *memory) take(t *testing.T, text io.Reader) {
	t.Helper()
	textParser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := textParser.TextToMetricFamilies(text)
	if err != nil {
		t.Fatal(err)
	}
	at := m.at(m.taken).UnixMilli()
	m.taken++
	for _, family := range families {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(0)}, []*dto.MetricFamily{family}...)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			m.add(s.Metric, at, float64(s.Value))
		}
	}
	m.add(model.Metric{model.MetricNameLabel: "up"}, at, 1)
}

func (m *memory) add(metric model.Metric, at int64, value float64) {
	builder := labels.NewBuilder(labels.EmptyLabels())
	for name, v := range metric {
		builder.Set(string(name), string(v))
	}
	builder.Set("job", "bursar").Set("instance", "bursar:9090")
	m.append(builder.Labels(), at, value)
}
