package bench

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
)

// unsummed is how many commits of each ledger at most are left to be read as they are; a hundredth where there are few.
const unsummed = 100

// sumTables are the tables of sums, with what a copy of a workspace's sums has instead of its own.
func sumTables() []struct{ name, instead string } {
	const who = ", own(principal) AS principal, own(agent) AS agent"
	return []struct{ name, instead string }{
		{"hourly", who},
		{"margins", ", if(dimension = 'agent', own(name), name) AS name"},
		{"charges", ", arrayMap(a -> arrayStringConcat(arrayMap(part -> own(part), splitByChar('/', CAST(a, 'String'))), '/'), agents) AS agents"},
		{"waits", ""},
		{"limit_log", ""},
	}
}

// sum sums all but the last commits of every ledger, as it is when a service runs. The workspace that came by the path of the
// service and the one that is asked about are summed by the service's builder; the sums of the others are copies of those of
// the first, as their events are.
func (b *Bench) sum(ctx context.Context, s Shape) (err error) {
	if b.commits, err = one[uint64](ctx, b.conn, "SELECT max(commit) FROM bursar.ledger_events"); err != nil {
		return err
	}
	progress := rollup.NewProgress()
	builder, err := rollup.New(b.conn, progress, prometheus.NewRegistry(), b.log)
	if err != nil {
		return err
	}
	built := []string{workspaceOf(0), b.workspace}
	for _, workspace := range built {
		id, err := one[string](ctx, b.conn, "SELECT ledger_id FROM bursar.ledger_events WHERE workspace = '"+workspace+"' LIMIT 1")
		if err != nil {
			return err
		}
		progress.Stored(rollup.Ledger{Workspace: workspace, ID: id}, b.commits-min(b.commits/100, unsummed))
	}
	if err := builder.Round(ctx); err != nil {
		return err
	}
	for w := range s.Workspaces {
		if workspace := workspaceOf(w); !slices.Contains(built, workspace) {
			if err := b.copySums(ctx, workspace); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySums copies the sums of the first workspace, unless there are some.
func (b *Bench) copySums(ctx context.Context, workspace string) error {
	for _, t := range sumTables() {
		there, err := one[uint64](ctx, b.conn, "SELECT count() FROM bursar."+t.name+" WHERE workspace = '"+workspace+"'")
		if err != nil {
			return err
		}
		if there > 0 {
			continue
		}
		statement := fmt.Sprintf("INSERT INTO bursar.%[1]s WITH (who -> if(who = '', who, concat({workspace:String}, '-', who))) AS own"+
			" SELECT * REPLACE ({workspace:String} AS workspace, {ledger:String} AS ledger_id%[2]s) FROM bursar.%[1]s AS s WHERE s.workspace = {first:String}", t.name, t.instead)
		parameters := clickhouse.Parameters{"workspace": workspace, "first": workspaceOf(0), "ledger": ledgerOf(workspace)}
		if err := b.exec(ctx, statement, parameters); err != nil {
			return err
		}
	}
	return nil
}
