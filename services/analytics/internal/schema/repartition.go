package schema

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const (
	// copyPrefix begins the names of copies. It is none that Store.Settle takes for a table of events.
	copyPrefix = "repartition_"
	// pieceRows is how many rows one statement copies: few enough that it is done long before a connection gives up.
	pieceRows = 500_000
	// pieceDays is how many days at most, and so how many partitions, which ClickHouse writes all at once.
	pieceDays = 50
	// comparedCommits is of how many commits of a ledger one question compares.
	comparedCommits = 250_000
	// statementTimeout bounds one statement.
	statementTimeout = 2 * time.Minute
	// tellEvery is how often the progress is told.
	tellEvery = 15 * time.Second
)

// ErrRepartition is returned by Repartition when the table cannot be made anew, or its copy is not like it.
var ErrRepartition = errors.New("the partitions of bursar.ledger_events cannot be changed")

// Repartition makes the table of events anew with other partitions. Nothing may be inserted meanwhile. In order:
//
//  1. make an empty table of the same definition but for the partitions, by a name that nobody has;
//  2. copy the rows, some days at a time;
//  3. compare: the copy must have every row of every ledger;
//  4. exchange the names of the two, which is one step to ClickHouse;
//  5. drop the table that was.
//
// Whatever ends it before step 4 leaves the table as it was, and after it the new one; what it leaves behind DropCopies
// removes. Views go on with what has the name of the table, materialized ones too, and these do not see what is copied.
// Errors: ErrRepartition.
func Repartition(ctx context.Context, conn driver.Conn, to Partitions, log *slog.Logger) error {
	t, err := eventsTable(ctx, conn)
	if err != nil {
		return err
	}
	c := &copying{conn: conn, log: log, from: t, to: to, name: copyPrefix + strings.ToLower(rand.Text()), told: time.Now()}
	if err := c.checkRoom(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.create, c.copyRows, c.compare, c.exchange} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return c.drop(ctx, c.name)
}

// DropCopies removes what was left of a Repartition that was ended half way.
func DropCopies(ctx context.Context, conn driver.Conn) error {
	c := &copying{conn: conn}
	var copies []struct {
		Name string `ch:"name"`
	}
	if err := conn.Select(ctx, &copies, "SELECT name FROM system.tables WHERE database = ? AND startsWith(name, ?)", Database, copyPrefix); err != nil {
		return fmt.Errorf("looking for copies of the table of events: %w", err)
	}
	for _, table := range copies {
		if err := c.drop(ctx, table.Name); err != nil {
			return err
		}
	}
	return nil
}

// copying is a Repartition under way.
type copying struct {
	conn driver.Conn
	log  *slog.Logger
	from table
	to   Partitions
	// name is that of the copy; a random one, so that two processes that copy at once do not meet.
	name string

	rows, copied uint64
	told         time.Time
}

// checkRoom wants room for a second table, and some more to merge its parts.
func (c *copying) checkRoom(ctx context.Context) error {
	const query = `SELECT
		(SELECT toUInt64(sum(rows)) FROM system.parts WHERE database = 'bursar' AND table = 'ledger_events' AND active),
		(SELECT sum(bytes_on_disk) FROM system.parts WHERE database = 'bursar' AND table = 'ledger_events' AND active),
		(SELECT sum(unreserved_space) FROM system.disks WHERE name IN (SELECT arrayJoin(disks) FROM system.storage_policies
			WHERE policy_name = (SELECT storage_policy FROM system.tables WHERE database = 'bursar' AND name = 'ledger_events')))`
	var bytes, free uint64
	if err := c.conn.QueryRow(ctx, query).Scan(&c.rows, &bytes, &free); err != nil {
		return fmt.Errorf("looking whether there is room for a copy of the table of events: %w", err)
	}
	if needed := bytes + bytes/2; free < needed {
		return fmt.Errorf("%w: a copy needs %d MiB of disk, and %d are free", ErrRepartition, needed>>20, free>>20)
	}
	if c.rows > 0 {
		c.log.Info("making the table of events anew: commits wait in the stream until it is done", "partitions_by", c.to, "rows", c.rows, "mebibytes", bytes>>20)
	}
	return nil
}

// create makes the copy. Each of its parts is brought to the disk, so that a power cut after the table that was is dropped
// takes nothing that has been there for long.
func (c *copying) create(ctx context.Context) error {
	key := ""
	if c.from.key != "" {
		key = " PARTITION BY " + c.from.key
	}
	create := c.from.create
	for _, change := range [][2]string{
		{"CREATE TABLE bursar.ledger_events ", "CREATE TABLE bursar." + c.name + " "},
		{" ENGINE = ReplacingMergeTree" + key + " ORDER BY ", " ENGINE = ReplacingMergeTree PARTITION BY " + c.to.key() + " ORDER BY "},
	} {
		if strings.Count(create, change[0]) != 1 {
			return fmt.Errorf("%w: it is made otherwise than by Bursar, with the engine %s; docs/analytics.md tells how to do it by hand", ErrRepartition, c.from.engine)
		}
		create = strings.Replace(create, change[0], change[1], 1)
	}
	if err := c.exec(ctx, create, nil); err != nil {
		return err
	}
	if c.keepsSyncing() {
		return nil
	}
	return c.exec(ctx, "ALTER TABLE bursar."+c.name+" MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1", nil)
}

// keepsSyncing says that somebody has chosen what of the table is brought to the disk, and when.
func (c *copying) keepsSyncing() bool { return strings.Contains(c.from.definition, "fsync") }

// piece is what one statement copies: the commits of some days, or a part of those of one.
type piece struct {
	from, to    time.Time
	part, parts uint64
	rows        uint64
}

// copyRows copies in pieces, from the first day to the last.
func (c *copying) copyRows(ctx context.Context) error {
	pieces, err := c.pieces(ctx)
	if err != nil {
		return err
	}
	for _, p := range pieces {
		err := c.exec(ctx, "INSERT INTO bursar."+c.name+` SELECT * FROM bursar.ledger_events
			WHERE committed_at >= toDateTime64({from:Date}, 3, 'UTC') AND committed_at < toDateTime64({to:Date} + 1, 3, 'UTC')
				AND commit % {parts:UInt64} = {part:UInt64}`,
			clickhouse.Parameters{
				"from": p.from.Format(time.DateOnly), "to": p.to.Format(time.DateOnly),
				"part": strconv.FormatUint(p.part, 10), "parts": strconv.FormatUint(p.parts, 10),
			})
		if err != nil {
			return err
		}
		if c.copied += p.rows; time.Since(c.told) > tellEvery {
			c.told = time.Now()
			c.log.Info("copying the table of events", "rows", c.copied, "of", c.rows)
		}
	}
	return nil
}

// pieces cuts the rows into pieces of some pieceRows. Every row is in one of them: compare would find one that is not.
func (c *copying) pieces(ctx context.Context) (pieces []piece, err error) {
	var days []struct {
		Day  time.Time `ch:"day"`
		Rows uint64    `ch:"n"`
	}
	if err := c.conn.Select(ctx, &days, "SELECT toDate(committed_at) AS day, count() AS n FROM bursar.ledger_events GROUP BY day ORDER BY day"); err != nil {
		return nil, fmt.Errorf("looking of what days there are events: %w", err)
	}
	for _, d := range days {
		last := len(pieces) - 1
		if last >= 0 && pieces[last].parts == 1 && pieces[last].rows+d.Rows <= pieceRows && d.Day.Sub(pieces[last].from) < pieceDays*day {
			pieces[last].to, pieces[last].rows = d.Day, pieces[last].rows+d.Rows
			continue
		}
		parts := d.Rows/pieceRows + 1
		for part := range parts {
			pieces = append(pieces, piece{from: d.Day, to: d.Day, part: part, parts: parts, rows: d.Rows / parts})
		}
	}
	return pieces, nil
}

// held is what a table has of some commits: each row once.
type held struct{ rows, hash uint64 }

// compare wants the copy to have what the table has, ledger by ledger.
func (c *copying) compare(ctx context.Context) error {
	keep, err := Retention(ctx, c.conn)
	if err != nil {
		return err
	}
	horizon := int64(0)
	if keep != 0 {
		horizon = time.Now().Add(day - keep).UnixMilli() // what expires soon may go from either of the two at any time
	}
	type ledgerRows struct {
		Workspace string `ch:"workspace"`
		ID        string `ch:"ledger_id"`
		Last      uint64 `ch:"last"`
	}
	var ledgers []ledgerRows
	if err := c.conn.Select(ctx, &ledgers, "SELECT workspace, ledger_id, max(commit) AS last FROM bursar.ledger_events GROUP BY workspace, ledger_id"); err != nil {
		return fmt.Errorf("looking of what ledgers there are events: %w", err)
	}
	for _, l := range ledgers {
		for first := uint64(0); first <= l.Last; first += comparedCommits {
			err := c.compareCommits(ctx, clickhouse.Parameters{
				"workspace": l.Workspace, "ledger": l.ID, "horizon": strconv.FormatInt(horizon, 10),
				"first": strconv.FormatUint(first, 10), "end": strconv.FormatUint(first+comparedCommits, 10),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copying) compareCommits(ctx context.Context, parameters clickhouse.Parameters) error {
	ctx, cancel := context.WithTimeout(clickhouse.Context(ctx, clickhouse.WithParameters(parameters)), statementTimeout)
	defer cancel()
	var both [2]held
	for i, name := range []string{"ledger_events", c.name} {
		row := c.conn.QueryRow(ctx, "SELECT count(), sum(cityHash64(commit, idx, committed_at, kind, reservation, call_id, commit_id)) FROM bursar."+name+` FINAL
			WHERE workspace = {workspace:String} AND ledger_id = {ledger:String} AND commit >= {first:UInt64} AND commit < {end:UInt64}
				AND (idx = -1 OR {horizon:Int64} = 0 OR committed_at >= fromUnixTimestamp64Milli({horizon:Int64}, 'UTC'))`)
		if err := row.Scan(&both[i].rows, &both[i].hash); err != nil {
			return fmt.Errorf("comparing the table of events with its copy: %w", err)
		}
	}
	if both[0] != both[1] {
		return fmt.Errorf("%w: of ledger %s from commit %s on it has %d rows, and a copy that was just made %d or others",
			ErrRepartition, parameters["ledger"], parameters["first"], both[0].rows, both[1].rows)
	}
	return nil
}

// exchange gives the copy the name of the table.
func (c *copying) exchange(ctx context.Context) error {
	if !c.keepsSyncing() {
		if err := c.exec(ctx, "ALTER TABLE bursar."+c.name+" RESET SETTING fsync_after_insert, fsync_part_directory, min_rows_to_fsync_after_merge", nil); err != nil {
			return err
		}
	}
	if err := c.exec(ctx, "EXCHANGE TABLES bursar.ledger_events AND bursar."+c.name, nil); err != nil {
		return err
	}
	if c.rows > 0 {
		c.log.Info("the table of events is made anew", "partitions_by", c.to, "rows", c.rows)
	}
	return nil
}

// drop removes a table however large it is.
func (c *copying) drop(ctx context.Context, name string) error {
	return c.exec(clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_table_size_to_drop": 0})), "DROP TABLE IF EXISTS bursar."+name, nil)
}

func (c *copying) exec(ctx context.Context, statement string, parameters clickhouse.Parameters) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if parameters != nil {
		ctx = clickhouse.Context(ctx, clickhouse.WithParameters(parameters), clickhouse.WithSettings(clickhouse.Settings{
			"async_insert": 0, "insert_deduplicate": 0, "max_partitions_per_insert_block": 0,
		}))
	}
	if err := c.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%.60s: %w", statement, err)
	}
	return nil
}
