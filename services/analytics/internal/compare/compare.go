// Package compare holds ClickHouse against the ledger.
//
// It compares in two ways that share no code beyond the driver: every row with the row that the commit
// would be written as, by identity and column by column; and the totals of the ledger, as folded by the
// state machine, with totals that SQL computes from the columns alone.
package compare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

const (
	// chunkRows is how many expected rows are held at a time.
	chunkRows = 20_000
	// maxDifferences is how many differences are told in words.
	maxDifferences = 20
	// queryTimeout bounds one question to ClickHouse.
	queryTimeout = 2 * time.Minute
	// awaitPoll is how often Await looks.
	awaitPoll = 50 * time.Millisecond
)

// Result is what a comparison found.
type Result struct {
	// Events is the number of events of the ledger that ClickHouse holds.
	Events uint64
	// Expired is the number of commits whose events ClickHouse need not keep any more: these were not compared.
	Expired uint64
	// Missing, Duplicates, Altered and Unexpected count rows, of events and of commits: not there, there
	// again, there with another content, and there without a commit that has them.
	Missing, Duplicates, Altered, Unexpected uint64
	// Unreadable is the number of commits that were kept as they are.
	Unreadable uint64
	// SumsEqual says that the totals are equal.
	SumsEqual bool
	// Differences tells the first differences in words.
	Differences []string
}

// OK says that ClickHouse holds exactly the ledger.
func (r Result) OK() bool {
	return r.Missing+r.Duplicates+r.Altered+r.Unexpected+r.Unreadable == 0 && r.SumsEqual
}

// Comparer compares one ledger. It is not safe for concurrent use.
type Comparer struct {
	conn      driver.Conn
	workspace string
	reader    *record.Reader

	ledgerID    string
	first, last uint64
	chunk       []*ledger.Commit
	rows        int
	// horizon is the time before which commits have expired, asked that it is known; before are the totals at the last of
	// them.
	horizon quota.Instant
	asked   bool
	before  quota.Totals
	result  Result
}

// New returns a comparer of the ledger of a workspace.
func New(conn driver.Conn, workspace string) *Comparer {
	return &Comparer{conn: conn, workspace: workspace, reader: record.NewReader()}
}

// Await returns when ClickHouse holds a commit, or when ctx ends, with its error.
func (c *Comparer) Await(ctx context.Context, ledgerID ledger.ID, number uint64) error {
	ticker := time.NewTicker(awaitPoll)
	defer ticker.Stop()
	for {
		var there uint64
		row := c.conn.QueryRow(ctx, "SELECT count() FROM bursar.ledger_events WHERE workspace = ? AND ledger_id = ? AND commit = ? AND idx = -1",
			c.workspace, ledgerID.String(), number)
		if err := row.Scan(&there); err == nil && there > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for commit %d in ClickHouse: %w", number, ctx.Err())
		case <-ticker.C:
		}
	}
}

// Add compares the next commit. Commits come in order and without a gap; the first one may have any
// number.
func (c *Comparer) Add(ctx context.Context, commit *ledger.Commit) error {
	if c.last == 0 {
		c.ledgerID, c.first = commit.Ledger.String(), commit.Number
	} else if id := commit.Ledger.String(); id != c.ledgerID || commit.Number != c.last+1 {
		return fmt.Errorf("comparing commit %d of ledger %s after commit %d of ledger %s: not the next one", commit.Number, id, c.last, c.ledgerID)
	}
	c.last = commit.Number
	if expired, err := c.expired(ctx, commit); err != nil || expired {
		return err
	}
	c.chunk = append(c.chunk, commit)
	c.rows += len(commit.Events) + 1
	if c.rows < chunkRows {
		return nil
	}
	return c.compareChunk(ctx)
}

// expired tells whether the events of a commit may have been dropped, and leaves it out if so.
func (c *Comparer) expired(ctx context.Context, commit *ledger.Commit) (bool, error) {
	if !c.asked {
		keep, err := schema.Retention(ctx, c.conn)
		if err != nil {
			return false, err
		}
		if keep != 0 {
			c.horizon = quota.InstantOf(time.Now().Add(-keep))
		}
		c.asked = true
	}
	if commit.At >= c.horizon {
		return false, nil
	}
	c.result.Expired++
	c.before, c.first = commit.Totals, commit.Number+1
	return true, nil
}

// Finish ends the comparison. before are the folded totals before the first commit that was added, after
// those after the last one.
func (c *Comparer) Finish(ctx context.Context, before, after quota.Totals) (Result, error) {
	if err := c.compareChunk(ctx); err != nil {
		return Result{}, err
	}
	if err := c.countUnreadable(ctx); err != nil {
		return Result{}, err
	}
	if c.last == 0 || c.first > c.last {
		c.result.SumsEqual = true
		return c.result, nil
	}
	sums, err := c.sums(ctx)
	if err != nil {
		return Result{}, err
	}
	if c.result.Expired > 0 {
		before = c.before
		// Where a reservation began before the horizon, SQL cannot tell what it overran.
		sums.Overruns, sums.Overrun = after.Overruns-before.Overruns, after.Overrun-before.Overrun
	}
	wrong := differences(sums, minus(after, before))
	c.result.SumsEqual = len(wrong) == 0
	c.result.Differences = append(c.result.Differences, wrong...)
	return c.result, nil
}

// found is a difference to tell.
func (c *Comparer) found(counter *uint64, format string, args ...any) {
	*counter++
	if len(c.result.Differences) < maxDifferences {
		c.result.Differences = append(c.result.Differences, fmt.Sprintf(format, args...))
	}
}

// compareChunk compares the commits that were gathered.
func (c *Comparer) compareChunk(ctx context.Context) error {
	if len(c.chunk) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	query := "SELECT " + c.reader.Columns() + " FROM bursar.ledger_events WHERE workspace = ? AND ledger_id = ? AND commit BETWEEN ? AND ?" +
		" ORDER BY commit, idx = -1, idx"
	rows, err := c.conn.Query(ctx, query, c.workspace, c.ledgerID, c.chunk[0].Number, c.chunk[len(c.chunk)-1].Number)
	if err != nil {
		return fmt.Errorf("reading events to compare: %w", err)
	}
	stored := &cursor{rows: rows, reader: c.reader}
	stored.advance()
	for _, commit := range c.chunk {
		record.EachRow(c.workspace, commit, func(want *record.Row) { c.compareRow(stored, want) })
	}
	for ; stored.more; stored.advance() {
		c.found(&c.result.Unexpected, "commit %d has an event %d that the ledger does not have", stored.commit, stored.index)
	}
	c.chunk, c.rows = c.chunk[:0], 0
	return errors.Join(stored.err, rows.Close())
}

// compareRow takes the rows up to and with the one that is wanted from those that are stored.
func (c *Comparer) compareRow(stored *cursor, want *record.Row) {
	for stored.more && stored.before(want) {
		c.found(&c.result.Unexpected, "commit %d has an event %d that the ledger does not have", stored.commit, stored.index)
		stored.advance()
	}
	if !stored.more || !stored.is(want) {
		if stored.err == nil {
			c.found(&c.result.Missing, "commit %d, event %d (%s) is missing", want.Commit, want.Index, want.Kind)
		}
		return
	}
	if want.Index != record.MarkerIndex {
		c.result.Events++
	}
	for copies := 0; stored.more && stored.is(want); copies++ {
		if copies > 0 {
			c.found(&c.result.Duplicates, "commit %d, event %d (%s) is there again", want.Commit, want.Index, want.Kind)
		}
		if column := c.reader.Difference(want); column != "" {
			c.found(&c.result.Altered, "commit %d, event %d (%s) has another %s", want.Commit, want.Index, want.Kind, column)
		}
		stored.advance()
	}
}

// countUnreadable counts the commits of the workspace that were kept as they are.
func (c *Comparer) countUnreadable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	row := c.conn.QueryRow(ctx, "SELECT count() FROM bursar.ledger_unreadable FINAL WHERE workspace = ?", c.workspace)
	if err := row.Scan(&c.result.Unreadable); err != nil {
		return fmt.Errorf("counting unreadable commits: %w", err)
	}
	if c.result.Unreadable > 0 {
		c.result.Differences = append(c.result.Differences, fmt.Sprintf("%d commits could not be read", c.result.Unreadable))
	}
	return nil
}

// cursor walks over rows in the order in which a commit's rows are made.
type cursor struct {
	rows   driver.Rows
	reader *record.Reader
	commit uint64
	index  int32
	more   bool
	err    error
}

func (c *cursor) advance() {
	if c.more = c.rows.Next(); !c.more {
		c.err = c.rows.Err()
		return
	}
	if err := c.reader.Scan(c.rows); err != nil {
		c.more, c.err = false, err
		return
	}
	c.commit, c.index = c.reader.Identity()
}

func (c *cursor) is(want *record.Row) bool { return c.commit == want.Commit && c.index == want.Index }

// before tells whether the row comes before the one that is wanted; the marker is the last of its commit.
func (c *cursor) before(want *record.Row) bool {
	switch {
	case c.commit != want.Commit:
		return c.commit < want.Commit
	case c.index == want.Index || c.index == record.MarkerIndex:
		return false
	case want.Index == record.MarkerIndex:
		return true
	}
	return c.index < want.Index
}
