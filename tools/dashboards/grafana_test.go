package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const (
	root = "../.."
	// schemaVersion is that of dashboards in Grafana 12 and 13, the last of this form.
	schemaVersion = 42
	// columns is the width of Grafana's grid.
	columns = 24
	// prometheusType is the type of the data source whose queries are PromQL.
	prometheusType = "prometheus"
)

type source struct{ Type, UID string }

type dashboard struct {
	file                    string
	UID, Title, Description string
	Tags                    []string
	SchemaVersion           int
	Templating              struct {
		List []struct {
			Name, Type string
			Datasource source
		}
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               source
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []target
}

type target struct {
	RefID              string
	Datasource         source
	Expr, LegendFormat string
	RawSQL             string `json:"rawSql"`
	Instant            bool
}

func dashboards(t *testing.T) (list []dashboard) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "deployments/grafana/dashboards/*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		d := dashboard{file: filepath.Base(file)}
		if err := json.Unmarshal(content(t, file), &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		list = append(list, d)
	}
	return list
}

func content(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// provisioned reads the data sources that Grafana gets, by uid.
func provisioned(t *testing.T) map[string]string {
	t.Helper()
	var file struct {
		Datasources []struct{ UID, Type string }
	}
	if err := yaml.Unmarshal(content(t, filepath.Join(root, "deployments/grafana/provisioning/datasources/bursar.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, d := range file.Datasources {
		types[d.UID] = d.Type
	}
	if len(types) != 2 {
		t.Fatalf("data sources %v, want ClickHouse and Prometheus", types)
	}
	return types
}

// TestDashboardsAreWhole holds what Grafana needs of a dashboard and what a reader does.
func TestDashboardsAreWhole(t *testing.T) {
	t.Parallel()
	sources := provisioned(t)
	uids := map[string]bool{}
	for _, d := range dashboards(t) {
		if d.UID == "" || uids[d.UID] || d.Title == "" || d.Description == "" || d.SchemaVersion != schemaVersion || len(d.Tags) == 0 {
			t.Errorf("%s: uid %q, title %q, version %d: each dashboard needs a uid of its own, a title, a description, a tag and version %d",
				d.file, d.UID, d.Title, d.SchemaVersion, schemaVersion)
		}
		uids[d.UID] = true
		for _, v := range d.Templating.List {
			if v.Type == "query" && sources[v.Datasource.UID] != v.Datasource.Type {
				t.Errorf("%s: variable %s asks %v, which is not provisioned", d.file, v.Name, v.Datasource)
			}
		}
		ids := map[int]bool{}
		for i := range d.Panels {
			checkPanel(t, &d, i, ids, sources)
		}
	}
}

func checkPanel(t *testing.T, d *dashboard, i int, ids map[int]bool, sources map[string]string) {
	t.Helper()
	p := &d.Panels[i]
	if p.Title == "" || p.Description == "" || ids[p.ID] || len(p.Targets) == 0 {
		t.Errorf("%s: panel %d %q needs a title, a description, an id of its own and a query", d.file, p.ID, p.Title)
	}
	ids[p.ID] = true
	if g := p.GridPos; g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > columns {
		t.Errorf("%s: %s lies outside of the grid: %+v", d.file, p.Title, g)
	}
	for _, other := range d.Panels[:i] {
		a, b := p.GridPos, other.GridPos
		if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
			t.Errorf("%s: %s covers %s", d.file, p.Title, other.Title)
		}
	}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if sources[q.Datasource.UID] != q.Datasource.Type || sources[p.Datasource.UID] != p.Datasource.Type {
			t.Errorf("%s: %s asks %v, which is not provisioned", d.file, p.Title, q.Datasource)
		}
		if isPromQL := q.Datasource.Type == prometheusType; isPromQL != (q.Expr != "") || isPromQL == (q.RawSQL != "") || refs[q.RefID] {
			t.Errorf("%s: %s, query %s: a query of its own name in the language of its data source is wanted", d.file, p.Title, q.RefID)
		}
		refs[q.RefID] = true
	}
}

// eachPromQL calls yield with every PromQL query as Prometheus gets it.
func eachPromQL(t *testing.T, yield func(where string, q *target, expr string)) {
	t.Helper()
	n := 0
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if q.Datasource.Type == prometheusType {
					n++
					yield(d.file+": "+p.Title, &q, expand(q.Expr))
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("%d queries: the test looks in the wrong place", n)
	}
}

// rateInterval is what $__rate_interval is with a scrape every 15 seconds.
const rateInterval = "1m"

// expand fills in what Grafana does: all workspaces are chosen.
func expand(expr string) string {
	return strings.NewReplacer("$__rate_interval", rateInterval, "$workspace", ".*").Replace(expr)
}

// jobs reads the names of the jobs that Prometheus is told to scrape.
func jobs(t *testing.T) map[string]bool {
	t.Helper()
	var file struct {
		ScrapeConfigs []struct {
			JobName string `yaml:"job_name"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(content(t, filepath.Join(root, "deployments/prometheus/prometheus.yml")), &file); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range file.ScrapeConfigs {
		names[s.JobName] = true
	}
	return names
}

// TestPrometheusUnderstandsTheQueries parses them, and wants only jobs that are scraped.
func TestPrometheusUnderstandsTheQueries(t *testing.T) {
	t.Parallel()
	scraped := jobs(t)
	job := regexp.MustCompile(`job="([^"]*)"`)
	eachPromQL(t, func(where string, _ *target, expr string) {
		if _, err := parser.NewParser(parser.Options{}).ParseExpr(expr); err != nil {
			t.Errorf("%s: %s: %v", where, expr, err)
		}
		if strings.Contains(expr, "$") {
			t.Errorf("%s: %s: something is not expanded", where, expr)
		}
		for _, match := range job.FindAllStringSubmatch(expr, -1) {
			if !scraped[match[1]] {
				t.Errorf("%s: nothing is scraped as job %s", where, match[1])
			}
		}
	})
}
