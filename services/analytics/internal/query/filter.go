package query

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/pkg/wire"
)

// filter is the WHERE of a query. Values of labels travel as parameters, never in the text.
type filter struct {
	parameters clickhouse.Parameters
	// only are the labels of which one value is asked for.
	only []string
	// cells says that the whole hours of the period, from cellsFrom to cellsTo, may be read as sums.
	cells                        bool
	from, to, cellsFrom, cellsTo wire.Time
	// lastHour says that the hour that the period ends in may be read as a sum, too.
	lastHour bool
}

func filterOf(workspace string, s wire.Scope, p Period, now time.Time) filter {
	f := filter{
		parameters: clickhouse.Parameters{"workspace": workspace, "zone": p.Zone.String()},
		from:       timeOf(p.From), to: timeOf(p.To),
	}
	for _, c := range []struct{ column, value string }{
		{"provider", s.Provider}, {"account", s.Account}, {"team", s.Team}, {"agent", s.Agent}, {"task_type", s.TaskType}, {"model", s.Model},
	} {
		if c.value != "" {
			f.parameters[c.column] = c.value
			f.only = append(f.only, c.column)
		}
	}
	if first, last, ok := p.wholeHours(); ok {
		f.cells, f.cellsFrom, f.cellsTo = true, timeOf(first), timeOf(last)
		f.lastHour = last.Before(p.To) && !p.To.Before(now.Truncate(time.Millisecond))
	}
	return f
}

// with returns a filter with more parameters, which may be changed apart from those of f.
func (f filter) with(more clickhouse.Parameters) filter {
	f.parameters = maps.Clone(f.parameters)
	maps.Copy(f.parameters, more)
	return f
}

// labels is the condition on the labels, after others.
func (f filter) labels() string {
	conditions := ""
	for _, column := range f.only {
		conditions += " AND " + column + " = {" + column + ":String}"
	}
	return conditions
}

// countedAt is what an index has the least and the greatest of: occurred_at, or of events without it, the time of the event.
// A condition on it beside the same one on occurred_at changes nothing but what is read.
const countedAt = "if(toUnixTimestamp64Milli(occurred_at) = 0, at, occurred_at)"

// eventContext is context for questions of nothing but events and copies of events. Rows of one identity are equal, so that
// conditions may be looked at before one of them is chosen; of sums they differ.
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
func (s summed) beyond() string { return s.condition(">", true) }

// from is beyond with the last commit that is in the sums.
func (s summed) from() string { return s.condition(">=", true) }

// upTo is the condition of events that are in the sums.
func (s summed) upTo() string { return s.of("<=") }

// of is the condition of events of these ledgers by their commits.
func (s summed) of(compare string) string { return s.condition(compare, false) }

// parameters are what the conditions name. A filter gets them by with, which copies: queries read them, several at once.
func (s summed) parameters() clickhouse.Parameters {
	named := clickhouse.Parameters{}
	for n, id := range slices.Sorted(maps.Keys(s)) {
		named["ledger_"+strconv.Itoa(n)] = id
		named["summed_"+strconv.Itoa(n)] = strconv.FormatUint(s[id], 10)
	}
	return named
}

func (s summed) condition(compare string, others bool) string {
	if len(s) == 0 {
		return "1"
	}
	ids := make([]string, 0, len(s))
	var conditions []string
	for range s {
		n := strconv.Itoa(len(ids))
		ids = append(ids, "{ledger_"+n+":String}")
		conditions = append(conditions, "ledger_id = {ledger_"+n+":String} AND commit "+compare+" {summed_"+n+":UInt64}")
	}
	if others {
		conditions = append(conditions, "ledger_id NOT IN ("+strings.Join(ids, ", ")+")")
	}
	return "(" + strings.Join(conditions, " OR ") + ")"
}
