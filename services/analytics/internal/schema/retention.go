package schema

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const day = 24 * time.Hour

const (
	// MinRetention is the shortest time that events may be kept: hot questions and back-tests go back some weeks.
	MinRetention = 35 * day
	// MaxRetention is the longest that is not forever: ClickHouse computes the end in 32 bits of seconds, and beyond 2106
	// events would be dropped at once.
	MaxRetention = 10_000 * day
)

// daysKept finds the retention in the definition of the table of events.
var daysKept = regexp.MustCompile(`TTL toDateTime\(committed_at\) \+ toIntervalDay\((\d+)\)`)

// Retain makes ClickHouse drop events that were committed longer ago than keep, in whole days; 0 keeps all. It changes
// nothing when that is so already. What it drops is gone from ClickHouse for good once parts are merged.
//
// The rows of the commits themselves stay: they are small, and say how far a ledger is stored, so that nothing that was
// dropped is brought in again. The sums by the hour stay too.
func Retain(ctx context.Context, conn driver.Conn, keep time.Duration) error {
	kept, err := Retention(ctx, conn)
	if err != nil || kept == keep.Truncate(day) {
		return err
	}
	statement := "ALTER TABLE bursar.ledger_events REMOVE TTL"
	if keep != 0 {
		statement = "ALTER TABLE bursar.ledger_events MODIFY TTL toDateTime(committed_at) + toIntervalDay(" + strconv.Itoa(int(keep/day)) + ") DELETE WHERE idx != -1"
	}
	if err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("changing how long events are kept: %w", err)
	}
	return nil
}

// Retention returns how long events are kept; 0 is forever.
func Retention(ctx context.Context, conn driver.Conn) (time.Duration, error) {
	var definition string
	row := conn.QueryRow(ctx, "SELECT engine_full FROM system.tables WHERE database = 'bursar' AND name = 'ledger_events'")
	if err := row.Scan(&definition); err != nil {
		return 0, fmt.Errorf("looking how long events are kept: %w", err)
	}
	found := daysKept.FindStringSubmatch(definition)
	if found == nil {
		return 0, nil
	}
	days, err := strconv.Atoi(found[1])
	return time.Duration(days) * day, err
}
