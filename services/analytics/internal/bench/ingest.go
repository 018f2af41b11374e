package bench

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

const (
	// tenantSeed is that of the workspace that comes by the path of the service.
	tenantSeed = 11
	// decidedAhead is how many commits are decided before they go in: what decides takes no part in what is measured.
	decidedAhead = 8192
)

// ingest decides the commits of one workspace and brings them in by the path of the service, which it measures from decided
// commits on: rows of every kind, batches as the service makes them, one connection.
func (b *Bench) ingest(ctx context.Context, o Options) error {
	begin, end, err := span()
	if err != nil {
		return err
	}
	t := newTenant(tenantSeed, o.Shape.UsageRows/o.Shape.Workspaces, begin, end.Sub(begin))
	in := inserter{store: store.New(b.conn), batch: record.NewBatch()}
	in.batch.Partitions = b.partitions
	var took, own, engine time.Duration
	began := time.Now()
	for t.now.Time().Before(end) {
		commits := make([]*ledger.Commit, 0, decidedAhead)
		for len(commits) < cap(commits) && t.now.Time().Before(end) {
			commits = append(commits, t.next())
		}
		before, err := b.spent(ctx)
		if err != nil {
			return err
		}
		service, start := ownProcessor(), time.Now()
		if err := in.insert(ctx, commits); err != nil {
			return err
		}
		took, own = took+time.Since(start), own+ownProcessor()-service
		after, err := b.spent(ctx)
		if err != nil {
			return err
		}
		engine += after.processor - before.processor
		if t.number%(decidedAhead*10) == 0 {
			b.log.Info("ingested", "rows", in.rows, "through", t.now.Time())
		}
	}
	spent := own + engine
	_, err = fmt.Fprintf(o.Out, "ingest by the path of the service (%s, rows of every kind, one writer): %d rows in %s, %.0f rows/s; %.0f rows for each second of a processor, of which the service takes %.0f %%; deciding them beforehand took %s\n",
		workspaceOf(0), in.rows, took.Round(100*time.Millisecond), float64(in.rows)/took.Seconds(), float64(in.rows)/spent.Seconds(),
		100*own.Seconds()/spent.Seconds(), (time.Since(began) - took).Round(time.Second))
	return err
}

// inserter brings commits in as the service does.
type inserter struct {
	store *store.Store
	batch *record.Batch
	rows  int
}

func (in *inserter) insert(ctx context.Context, commits []*ledger.Commit) error {
	for _, commit := range commits {
		if in.batch.Rows() > 0 && (in.batch.Rows()+len(commit.Events) >= store.MaxRows || !in.batch.Fits(commit)) {
			if err := in.flush(ctx); err != nil {
				return err
			}
		}
		in.batch.Add(workspaceOf(0), commit)
	}
	return in.flush(ctx)
}

func (in *inserter) flush(ctx context.Context) error {
	in.rows += in.batch.Rows()
	err := in.store.Insert(ctx, in.batch)
	in.batch.Reset()
	return err
}

// ownProcessor is the processor time that this process has spent; ClickHouse is another process.
func ownProcessor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
