package bench

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

const (
	// ingestCommits is how many commits the fleet decides, once; they go in again and again, as other workspaces.
	ingestCommits  = 8000
	ingestCommands = 6
)

// ingest measures the path of the service from decoded commits on: rows of every kind, batches as it makes them, one
// connection. The tables are emptied afterwards.
func (b *Bench) ingest(ctx context.Context, o Options) error {
	f := fleet.New(11, 50*time.Millisecond)
	commits := make([]*ledger.Commit, ingestCommits)
	for i := range commits {
		commit, _, err := f.Next(ingestCommands)
		if err != nil {
			return err
		}
		commits[i] = commit
	}
	s, batch, rows := store.New(b.conn), record.NewBatch(), 0
	flush := func() error {
		rows += batch.Rows()
		err := s.Insert(ctx, batch)
		batch.Reset()
		return err
	}
	processor, _, err := b.spent(ctx)
	if err != nil {
		return err
	}
	own, began := ownProcessor(), time.Now()
	for round := 0; rows < o.IngestRows; round++ {
		workspace := "ingest-" + strconv.Itoa(round)
		for _, commit := range commits {
			if batch.Rows() > 0 && (batch.Rows()+len(commit.Events) >= store.MaxRows || !batch.Fits(commit)) {
				if err := flush(); err != nil {
					return err
				}
			}
			batch.Add(workspace, commit)
		}
		if err := flush(); err != nil {
			return err
		}
	}
	took := time.Since(began)
	own = ownProcessor() - own
	processorAfter, _, err := b.spent(ctx)
	if err != nil {
		return err
	}
	spent := own + processorAfter - processor
	if _, err := fmt.Fprintf(o.Out, "ingest by the path of the service (rows of every kind, one writer): %d rows in %s, %.0f rows/s; %.0f rows for each second of a processor, of which the service takes %.0f %%\n",
		rows, took.Round(100*time.Millisecond), float64(rows)/took.Seconds(), float64(rows)/spent.Seconds(), 100*own.Seconds()/spent.Seconds()); err != nil {
		return err
	}
	return b.exec(ctx, "TRUNCATE TABLE bursar.ledger_events", nil)
}

// ownProcessor is the processor time that this process has spent; ClickHouse is another process.
func ownProcessor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
