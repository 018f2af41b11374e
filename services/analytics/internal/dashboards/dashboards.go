// Package dashboards reads the Grafana dashboards of deployments/grafana and expands their SQL as Grafana and its ClickHouse
// plugin do, so that tests hold every query and the benchmark measures it as it stands there.
package dashboards

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// ClickHousePlugin is the type of the data source whose queries are SQL.
const ClickHousePlugin = "grafana-clickhouse-datasource"

// Query is a query of a dashboard that goes to ClickHouse.
type Query struct {
	// Dashboard is the name of its file; Panel the title of its panel, or "variable" and its name.
	Dashboard, Panel string
	SQL              string
	// Series says that its rows are a series over time.
	Series bool
}

// dashboard is what is read of a dashboard.
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

// Read returns the queries of all dashboards of a folder that go to ClickHouse, variables included. It returns an error if
// there are none, and if a query's type and format do not agree.
func Read(dir string) ([]Query, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []Query
	for _, file := range files {
		queries, err := read(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, queries...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no dashboard in %s asks ClickHouse", dir)
	}
	return all, nil
}

func read(file string) ([]Query, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	var found []Query
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	for _, v := range d.Templating.List {
		if v.Type != "query" || v.Datasource.Type != ClickHousePlugin {
			continue
		}
		var query string
		if err := json.Unmarshal(v.Query, &query); err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		found = append(found, Query{Dashboard: name, Panel: "variable " + v.Name, SQL: query})
	}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			if target.Datasource.Type != ClickHousePlugin {
				continue
			}
			series := target.QueryType == "timeseries"
			if series != (target.Format == 0) {
				return nil, fmt.Errorf("%s is a %s of format %d", p.Title, target.QueryType, target.Format)
			}
			found = append(found, Query{Dashboard: name, Panel: p.Title, SQL: target.RawSQL, Series: series})
		}
	}
	return found, nil
}

// Grafana expands queries as Grafana and its ClickHouse plugin do, for the time that is shown.
type Grafana struct {
	From, To time.Time
	// Interval is the width of a point.
	Interval  time.Duration
	Variables map[string]string
}

var (
	variablePattern = regexp.MustCompile(`\$\{(\w+):singlequote\}`)
	macroPattern    = regexp.MustCompile(`\$__(\w+)(?:\(([^()]*)\))?`)
)

// Expand fills variables and macros in. Whatever is left of them is an error: ClickHouse must not see it.
func (g Grafana) Expand(query string) (string, error) {
	var errs []error
	query = variablePattern.ReplaceAllStringFunc(query, func(found string) string {
		name := variablePattern.FindStringSubmatch(found)[1]
		value, ok := g.Variables[name]
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

func (g Grafana) macro(name, column string) (string, error) {
	moment := func(at time.Time) string { return fmt.Sprintf("toDateTime(%d)", at.Unix()) }
	seconds := int(g.Interval.Seconds())
	switch {
	case name == "fromTime" && column == "":
		return moment(g.From), nil
	case name == "toTime" && column == "":
		return moment(g.To), nil
	case name == "interval_s" && column == "":
		return fmt.Sprint(seconds), nil
	case name == "timeFilter" && column != "":
		return fmt.Sprintf("%s >= %s AND %s <= %s", column, moment(g.From), column, moment(g.To)), nil
	case name == "timeInterval" && column != "":
		return fmt.Sprintf("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", column, seconds), nil
	}
	return "", fmt.Errorf("no macro $__%s(%s)", name, column)
}
