package query

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/pkg/wire"
)

// filter is the WHERE of a query. Values travel as parameters, never in the text.
type filter struct {
	parameters clickhouse.Parameters
	// labels are the conditions on the workspace and the labels.
	labels []string
	// cells says that the whole hours of the period, from cells_from to cells_to, may be read as sums.
	cells bool
}

func filterOf(workspace string, s wire.Scope, p Period) filter {
	f := filter{
		parameters: clickhouse.Parameters{
			"workspace": workspace,
			"from":      strconv.FormatInt(p.From.UnixMilli(), 10),
			"to":        strconv.FormatInt(p.To.UnixMilli(), 10),
			"zone":      p.Zone.String(),
		},
		labels: []string{"workspace = {workspace:String}"},
	}
	for _, c := range []struct{ column, value string }{
		{"provider", s.Provider}, {"account", s.Account}, {"team", s.Team}, {"agent", s.Agent}, {"task_type", s.TaskType}, {"model", s.Model},
	} {
		if c.value != "" {
			f.parameters[c.column] = c.value
			f.labels = append(f.labels, c.column+" = {"+c.column+":String}")
		}
	}
	if first, last, ok := p.wholeHours(); ok {
		f.cells = true
		f.parameters["cells_from"] = strconv.FormatInt(first.UnixMilli(), 10)
		f.parameters["cells_to"] = strconv.FormatInt(last.UnixMilli(), 10)
	}
	return f
}

// events is the condition of events whose time, in a column, is in the period.
func (f filter) events(column string) string {
	return strings.Join(f.labels, " AND ") +
		// What happened at an instant was committed then or later, so older partitions need no look.
		" AND committed_at >= fromUnixTimestamp64Milli({from:Int64})" +
		" AND " + column + " >= fromUnixTimestamp64Milli({from:Int64}) AND " + column + " < fromUnixTimestamp64Milli({to:Int64})"
}

// countedAt is what an index has the least and the greatest of: occurred_at, or of events without it, the time of the event.
// A condition on it beside the same one on occurred_at changes nothing but what is read.
const countedAt = "if(toUnixTimestamp64Milli(occurred_at) = 0, at, occurred_at)"

// edges is the condition of events at the ends of the period, which are no whole hours.
func (f filter) edges(column string) string {
	either := func(of string) string {
		return " AND (" + of + " < fromUnixTimestamp64Milli({cells_from:Int64}) OR " + of + " >= fromUnixTimestamp64Milli({cells_to:Int64}))"
	}
	condition := f.events(column) + either(column)
	if column == "occurred_at" {
		condition += " AND " + countedAt + " >= fromUnixTimestamp64Milli({from:Int64})" + either(countedAt)
	}
	return condition
}

// sums is the condition of the sums of the whole hours of the period, and of the rows that tell how far each ledger is
// summed.
func (f filter) sums(kinds string) string {
	return "workspace = {workspace:String} AND (kind = '' OR kind IN (" + kinds + ")" +
		" AND hour >= toDateTime(intDiv({cells_from:Int64}, 1000), 'UTC') AND hour < toDateTime(intDiv({cells_to:Int64}, 1000), 'UTC')" +
		" AND " + strings.Join(f.labels, " AND ") + ")"
}

// eventContext is context for questions of nothing but events. Rows of one identity are equal, so that conditions may be
// looked at before one of them is chosen; of sums they differ.
func (f filter) eventContext(ctx context.Context) context.Context {
	return clickhouse.Context(f.context(ctx), clickhouse.WithSettings(clickhouse.Settings{
		"do_not_merge_across_partitions_select_final": 1, "use_skip_indexes_if_final": 1, "use_skip_indexes_if_final_exact_mode": 0,
		"optimize_move_to_prewhere_if_final": 1,
	}))
}

// context returns ctx with the parameters.
func (f filter) context(ctx context.Context) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithParameters(f.parameters), clickhouse.WithSettings(clickhouse.Settings{
		// Equal identities are always in one partition, see the migration, and equal in every column, so that an
		// index may leave one of two copies out.
		"do_not_merge_across_partitions_select_final": 1,
		"use_skip_indexes_if_final":                   1,
		"use_skip_indexes_if_final_exact_mode":        0,
	}))
}

// summed is how far each ledger of a workspace is summed, by its id.
type summed map[string]uint64

// beyond is the condition of events that are not in the sums. The sort key finds them at once.
func (s summed) beyond(f filter) string { return s.condition(f, ">") }

// from is beyond with the last commit that is in the sums.
func (s summed) from(f filter) string { return s.condition(f, ">=") }

func (s summed) condition(f filter, compare string) string {
	if len(s) == 0 {
		return "1"
	}
	ids := make([]string, 0, len(s))
	var conditions []string
	for _, id := range slices.Sorted(maps.Keys(s)) {
		n := strconv.Itoa(len(ids))
		f.parameters["ledger_"+n] = id
		f.parameters["summed_"+n] = strconv.FormatUint(s[id], 10)
		ids = append(ids, "{ledger_"+n+":String}")
		conditions = append(conditions, "ledger_id = {ledger_"+n+":String} AND commit "+compare+" {summed_"+n+":UInt64}")
	}
	conditions = append(conditions, "ledger_id NOT IN ("+strings.Join(ids, ", ")+")")
	return "(" + strings.Join(conditions, " OR ") + ")"
}
