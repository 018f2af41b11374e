package bench

import (
	"context"
	"fmt"
	"strconv"
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
	began := time.Now()
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
	if _, err := fmt.Fprintf(o.Out, "ingest by the path of the service (rows of every kind, one writer): %d rows in %s, %.0f rows/s\n",
		rows, took.Round(100*time.Millisecond), float64(rows)/took.Seconds()); err != nil {
		return err
	}
	return b.exec(ctx, "TRUNCATE TABLE bursar.ledger_events", nil)
}
