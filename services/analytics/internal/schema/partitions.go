package schema

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Partitions says of what span of ledger time a partition of the table of events has the commits, in UTC. The zero value
// stands for no choice; rows that are cut by it are in one partition of every table, because a day is in one month and in
// one week.
type Partitions string

// What a partition may have.
const (
	ByMonth Partitions = "month"
	ByWeek  Partitions = "week" // from Monday
	ByDay   Partitions = "day"
	// Unpartitioned is a table that somebody made without partitions; nobody can choose it.
	Unpartitioned Partitions = "none"
)

// ErrPartitionKey is returned by PartitionsOf for a table of events whose partition key is none that is known here: then
// it is not known which rows are in one partition, and nothing may be inserted.
var ErrPartitionKey = errors.New("unknown partition key")

// AllPartitions returns what can be chosen.
func AllPartitions() []Partitions { return []Partitions{ByMonth, ByWeek, ByDay} }

// ParsePartitions reads a choice; none is one, too.
func ParsePartitions(name string) (Partitions, error) {
	if p := Partitions(name); p == "" || p.key() != "" {
		return p, nil
	}
	return "", fmt.Errorf("partitions of events are by %s, %s or %s, not %q", ByMonth, ByWeek, ByDay, name)
}

// key is the partition key, as ClickHouse writes it.
func (p Partitions) key() string {
	switch p {
	case ByMonth:
		return "toYYYYMM(committed_at)"
	case ByWeek:
		return "toMonday(committed_at)"
	case ByDay:
		return "toDate(committed_at)"
	default:
		return ""
	}
}

// Of returns a number that two times of commits share exactly if they are in one partition.
func (p Partitions) Of(at time.Time) int64 {
	at = at.UTC()
	days := at.Unix() / int64(day/time.Second)
	switch p {
	case Unpartitioned:
		return 0
	case ByMonth:
		return int64(at.Year())*12 + int64(at.Month())
	case ByWeek:
		return (days + 3) / 7 // day 0 was a Thursday
	default:
		return days
	}
}

// PartitionsOf returns what partitions the table of events has. Of a Distributed table it is what the table below it has on
// this server; if that is not here, it is no choice. Errors: ErrPartitionKey.
func PartitionsOf(ctx context.Context, conn driver.Conn) (Partitions, error) {
	t, err := eventsTable(ctx, conn)
	if err != nil {
		return "", err
	}
	return t.partitions()
}

// table is what ClickHouse tells of a table.
type table struct{ engine, definition, key, create string }

const distributed = "Distributed"

// below finds the table below a Distributed one in its definition: cluster, database, table.
var below = regexp.MustCompile(`^Distributed\('[^']*', '([^']*)', '([^']*)'`)

// eventsTable reads the table of events, or that below it.
func eventsTable(ctx context.Context, conn driver.Conn) (table, error) {
	t, err := tableNamed(ctx, conn, Database, "ledger_events")
	if err != nil || t.engine != distributed {
		return t, err
	}
	found := below.FindStringSubmatch(t.definition)
	if found == nil {
		return t, nil
	}
	local, err := tableNamed(ctx, conn, found[1], found[2])
	if err == nil {
		t.key = local.key
	}
	return t, nil //nolint:nilerr // the table below it may be on other servers only
}

func tableNamed(ctx context.Context, conn driver.Conn, database, name string) (t table, err error) {
	row := conn.QueryRow(ctx, "SELECT engine, engine_full, partition_key, create_table_query FROM system.tables WHERE database = ? AND name = ?", database, name)
	if err := row.Scan(&t.engine, &t.definition, &t.key, &t.create); err != nil {
		return t, fmt.Errorf("looking how %s.%s is made: %w", database, name, err)
	}
	return t, nil
}

func (t table) partitions() (Partitions, error) {
	for _, p := range AllPartitions() {
		if t.key == p.key() {
			return p, nil
		}
	}
	switch {
	case t.key == "tuple()":
		return Unpartitioned, nil
	case t.key != "":
		return "", fmt.Errorf("%w: bursar.ledger_events is partitioned by %s, and not by one of %s", ErrPartitionKey, t.key, strings.Join(allKeys(), ", "))
	case t.engine == distributed:
		return "", nil
	default:
		return Unpartitioned, nil
	}
}

func allKeys() (keys []string) {
	for _, p := range AllPartitions() {
		keys = append(keys, p.key())
	}
	return keys
}
