package record

import (
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

// Batch gathers rows column by column. The zero value is not ready: use NewBatch. It is not safe for
// concurrent use.
type Batch struct {
	// Partitions are those of the table; the zero value suits every table. Change it between Reset and Add only.
	Partitions schema.Partitions

	columns   []column
	rows      int
	partition int64
}

// NewBatch returns an empty batch.
func NewBatch() *Batch { return &Batch{columns: writtenColumns()} }

// Rows returns the number of rows.
func (b *Batch) Rows() int { return b.rows }

// Fits reports whether a commit belongs to the same partition of the table as what is in the batch.
// One insert must not span two: it would make two parts, and could then be stored by half.
func (b *Batch) Fits(c *ledger.Commit) bool { return b.rows == 0 || b.partition == b.partitionOf(c) }

// Add appends the rows of a commit.
func (b *Batch) Add(workspace string, c *ledger.Commit) {
	b.partition = b.partitionOf(c)
	EachRow(workspace, c, func(row *Row) {
		for _, column := range b.columns {
			column.add(row)
		}
		b.rows++
	})
}

// Reset forgets the rows and keeps the room.
func (b *Batch) Reset() {
	for _, column := range b.columns {
		column.reset()
	}
	b.rows = 0
}

// Statement returns the INSERT that WriteTo's batch must be prepared with.
func (b *Batch) Statement() string {
	return "INSERT INTO bursar.ledger_events (" + columnList(b.columns) + ")"
}

// WriteTo hands the columns to the driver, which has prepared Statement.
func (b *Batch) WriteTo(to driver.Batch) error {
	for i, column := range b.columns {
		if err := column.flush(to.Column(i)); err != nil {
			return fmt.Errorf("column %s: %w", column.label(), err)
		}
	}
	return nil
}

func (b *Batch) partitionOf(c *ledger.Commit) int64 { return b.Partitions.Of(c.At.Time()) }

func columnList(columns []column) string {
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = "`" + column.label() + "`"
	}
	return strings.Join(names, ", ")
}

// Reader reads rows back and compares them with what they should be. It is not safe for concurrent
// use.
type Reader struct {
	columns []column
	targets []any
	// commit and index are where the identity is read to.
	commit *uint64
	index  *int32
}

// NewReader returns a reader of every column that depends on nothing but the commit.
func NewReader() *Reader {
	r := &Reader{columns: comparedColumns()}
	for _, column := range r.columns {
		target := column.target()
		r.targets = append(r.targets, target)
		switch column.label() {
		case "commit":
			r.commit = target.(*uint64)
		case "idx":
			r.index = target.(*int32)
		}
	}
	return r
}

// Columns returns the list for the SELECT whose rows are scanned.
func (r *Reader) Columns() string { return columnList(r.columns) }

// Scan reads the present row.
func (r *Reader) Scan(rows driver.Rows) error { return rows.Scan(r.targets...) }

// Identity returns the place of the row that was scanned last in its ledger.
func (r *Reader) Identity() (commit uint64, index int32) { return *r.commit, *r.index }

// Difference returns the name of the first column in which the row that was scanned last differs from
// want, or "" if it is equal.
func (r *Reader) Difference(want *Row) string {
	for _, column := range r.columns {
		if !column.equal(want) {
			return column.label()
		}
	}
	return ""
}
