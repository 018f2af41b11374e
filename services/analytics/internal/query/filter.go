package query

import (
	"context"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/pkg/wire"
)

// filter is the WHERE of a query. Values travel as parameters, never in the text.
type filter struct {
	parameters clickhouse.Parameters
	conditions []string
}

func filterOf(workspace string, s wire.Scope, p Period) filter {
	f := filter{
		parameters: clickhouse.Parameters{
			"workspace": workspace,
			"from":      strconv.FormatInt(p.From.UnixMilli(), 10),
			"to":        strconv.FormatInt(p.To.UnixMilli(), 10),
			"zone":      p.Zone.String(),
		},
		// What happened at an instant was committed then or later, so older partitions need no look.
		conditions: []string{"workspace = {workspace:String}", "committed_at >= fromUnixTimestamp64Milli({from:Int64})"},
	}
	for _, c := range []struct{ column, value string }{
		{"provider", s.Provider}, {"account", s.Account}, {"team", s.Team}, {"agent", s.Agent}, {"task_type", s.TaskType}, {"model", s.Model},
	} {
		if c.value != "" {
			f.parameters[c.column] = c.value
			f.conditions = append(f.conditions, c.column+" = {"+c.column+":String}")
		}
	}
	return f
}

// usage is the condition of usage that occurred in the period.
func (f filter) usage() string { return f.within("occurred_at") + " AND kind = 'usage.recorded'" }

// decisions is the condition of events that happened in the period.
func (f filter) decisions() string { return f.within("at") }

func (f filter) within(column string) string {
	return strings.Join(f.conditions, " AND ") + " AND " + column + " >= fromUnixTimestamp64Milli({from:Int64}) AND " + column + " < fromUnixTimestamp64Milli({to:Int64})"
}

// context returns ctx with the parameters.
func (f filter) context(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithParameters(f.parameters), clickhouse.WithSettings(clickhouse.Settings{
		// Equal identities are always in one partition, see the migration.
		"do_not_merge_across_partitions_select_final": 1,
	}))
}
