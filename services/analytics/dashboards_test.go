package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
)

// clickHousePlugin is the type of the data source whose queries are SQL.
const clickHousePlugin = "grafana-clickhouse-datasource"

// dashboard is what the test reads of a dashboard.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct {
			Datasource struct{ Type string }
			QueryType  string
			Format     int
			RawSQL     string `json:"rawSql"`
		}
	}
	Templating struct {
		List []struct {
			Name, Type string
			Datasource struct{ Type string }
			Query      json.RawMessage
		}
	}
}

// TestEveryPanelOfTheDashboardsHasRows runs every query of the dashboards that goes to ClickHouse, variables included, as the
// analyst that Grafana is, on a fleet of which everything has happened.
func TestEveryPanelOfTheDashboardsHasRows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start()
	s.fleet = fleet.New(9, time.Minute)
	s.send(2500, 2)
	_ = s.compare()
	s.awaitSums()
	analyst := chtest.Open(t, s.server, chembed.UserAnalyst)
	g := grafana{from: s.commits[0].At.Time(), to: s.commits[len(s.commits)-1].At.Time(), interval: time.Hour, variables: map[string]string{"workspace": "acme"}}
	files, err := filepath.Glob("../../deployments/grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	queries := 0
	for _, file := range files {
		d := readDashboard(t, file)
		for _, v := range d.Templating.List {
			if v.Type == "query" && v.Datasource.Type == clickHousePlugin {
				var query string
				if err := json.Unmarshal(v.Query, &query); err != nil {
					t.Errorf("%s: variable %s: %v", file, v.Name, err)
				}
				g.run(t, analyst, file+": variable "+v.Name, query, false)
				queries++
			}
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Datasource.Type == clickHousePlugin {
					if timeSeries := target.QueryType == "timeseries"; timeSeries != (target.Format == 0) {
						t.Errorf("%s: %s is a %s of format %d", file, p.Title, target.QueryType, target.Format)
					}
					g.run(t, analyst, file+": "+p.Title, target.RawSQL, target.Format == 0)
					queries++
				}
			}
		}
	}
	if queries < 20 {
		t.Errorf("%d queries: the test looks in the wrong place", queries)
	}
}

func readDashboard(t *testing.T, file string) dashboard {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return d
}

// grafana expands queries as Grafana and its ClickHouse plugin do.
type grafana struct {
	from, to  time.Time
	interval  time.Duration
	variables map[string]string
}

// run wants rows of a query; of a series its first column must be a time, and of each column some row must have a value.
func (g grafana) run(t *testing.T, conn driver.Conn, what, query string, series bool) {
	t.Helper()
	statement, err := g.expand(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", what, err, query)
		return
	}
	chtest.Read(t, func(ctx context.Context) error {
		rows, err := conn.Query(ctx, statement)
		if err != nil {
			t.Logf("%s:\n%s", what, statement)
			return err
		}
		types := rows.ColumnTypes()
		if series && !strings.HasPrefix(types[0].DatabaseTypeName(), "DateTime") {
			t.Errorf("%s: its first column is a %s, want a time", what, types[0].DatabaseTypeName())
		}
		n := 0
		for rows.Next() {
			n++
		}
		if n == 0 {
			t.Errorf("%s gives no row:\n%s", what, statement)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
}

var (
	variablePattern = regexp.MustCompile(`\$\{(\w+):singlequote\}`)
	macroPattern    = regexp.MustCompile(`\$__(\w+)(?:\(([^()]*)\))?`)
)

// expand fills variables and macros in. Whatever is left of them is an error: ClickHouse must not see it.
func (g grafana) expand(query string) (string, error) {
	var errs []error
	query = variablePattern.ReplaceAllStringFunc(query, func(found string) string {
		name := variablePattern.FindStringSubmatch(found)[1]
		value, ok := g.variables[name]
		if !ok {
			errs = append(errs, fmt.Errorf("no variable %s", name))
		}
		return "'" + strings.ReplaceAll(value, "'", `\'`) + "'"
	})
	query = macroPattern.ReplaceAllStringFunc(query, func(found string) string {
		match := macroPattern.FindStringSubmatch(found)
		text, err := g.macro(match[1], match[2])
		if err != nil {
			errs = append(errs, err)
		}
		return text
	})
	if strings.Contains(query, "$") {
		errs = append(errs, errors.New("something is not expanded"))
	}
	return query, errors.Join(errs...)
}

func (g grafana) macro(name, column string) (string, error) {
	moment := func(at time.Time) string { return fmt.Sprintf("toDateTime(%d)", at.Unix()) }
	seconds := int(g.interval.Seconds())
	switch {
	case name == "fromTime" && column == "":
		return moment(g.from), nil
	case name == "toTime" && column == "":
		return moment(g.to), nil
	case name == "interval_s" && column == "":
		return fmt.Sprint(seconds), nil
	case name == "timeFilter" && column != "":
		return fmt.Sprintf("%s >= %s AND %s <= %s", column, moment(g.from), column, moment(g.to)), nil
	case name == "timeInterval" && column != "":
		return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", column, seconds), nil
	}
	return "", fmt.Errorf("no macro $__%s(%s)", name, column)
}

func TestExpandRefusesWhatGrafanaWouldLeave(t *testing.T) {
	t.Parallel()
	g := grafana{from: time.Unix(60, 0), to: time.Unix(120, 0), interval: time.Minute, variables: map[string]string{"workspace": "o'neil"}}
	got, err := g.expand("workspace = ${workspace:singlequote} AND $__timeFilter(at) GROUP BY $__timeInterval(at), $__interval_s")
	want := `workspace = 'o\'neil' AND at >= toDateTime(60) AND at <= toDateTime(120) GROUP BY toStartOfInterval(toDateTime(at), INTERVAL 60 second), 60`
	if err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	for _, bad := range []string{"${team:singlequote}", "$__timefilter(at)", "$__timeFilter", "$workspace"} {
		if _, err := g.expand(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
