package record

import (
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/quota"
)

// column is one column of the table: how it is filled from rows, and how what was read back is
// compared with a row.
type column interface {
	label() string
	add(row *Row)
	flush(to driver.BatchColumn) error
	reset()
	// target returns where a read value goes; equal compares what is there with a row's.
	target() any
	equal(row *Row) bool
}

// value is a column of a type that Go and the driver share.
type value[T comparable] struct {
	name   string
	get    func(*Row) T
	values []T
	read   T
}

func (c *value[T]) label() string                     { return c.name }
func (c *value[T]) add(row *Row)                      { c.values = append(c.values, c.get(row)) }
func (c *value[T]) flush(to driver.BatchColumn) error { return to.Append(c.values) }
func (c *value[T]) target() any                       { return &c.read }
func (c *value[T]) equal(row *Row) bool               { return c.read == c.get(row) }
func (c *value[T]) reset() {
	clear(c.values)
	c.values = c.values[:0]
}

// instant is a column of times; the driver takes them as milliseconds and gives them as time.Time.
type instant struct {
	name   string
	get    func(*Row) quota.Instant
	values []int64
	read   time.Time
}

func (c *instant) label() string                     { return c.name }
func (c *instant) add(row *Row)                      { c.values = append(c.values, int64(c.get(row))) }
func (c *instant) flush(to driver.BatchColumn) error { return to.Append(c.values) }
func (c *instant) target() any                       { return &c.read }
func (c *instant) equal(row *Row) bool               { return quota.InstantOf(c.read) == c.get(row) }
func (c *instant) reset()                            { c.values = c.values[:0] }

// list is a column of arrays.
type list[T comparable] struct {
	name   string
	get    func(*Row) []T
	values [][]T
	read   []T
}

func (c *list[T]) label() string                     { return c.name }
func (c *list[T]) add(row *Row)                      { c.values = append(c.values, c.get(row)) }
func (c *list[T]) flush(to driver.BatchColumn) error { return to.Append(c.values) }
func (c *list[T]) target() any                       { return &c.read }
func (c *list[T]) equal(row *Row) bool               { return slices.Equal(c.read, c.get(row)) }
func (c *list[T]) reset() {
	clear(c.values)
	c.values = c.values[:0]
}

// instants is a column of arrays of times.
type instants struct {
	name   string
	get    func(*Row) []quota.Instant
	values [][]time.Time
	read   []time.Time
}

func (c *instants) label() string                     { return c.name }
func (c *instants) flush(to driver.BatchColumn) error { return to.Append(c.values) }
func (c *instants) target() any                       { return &c.read }
func (c *instants) add(row *Row) {
	got := c.get(row)
	times := make([]time.Time, len(got))
	for i, at := range got {
		times[i] = at.Time()
	}
	c.values = append(c.values, times)
}
func (c *instants) equal(row *Row) bool {
	return slices.EqualFunc(c.read, c.get(row), func(a time.Time, b quota.Instant) bool { return quota.InstantOf(a) == b })
}
func (c *instants) reset() {
	clear(c.values)
	c.values = c.values[:0]
}

func text(name string, get func(*Row) string) column { return &value[string]{name: name, get: get} }
func number(name string, get func(*Row) int64) column {
	return &value[int64]{name: name, get: get}
}
func counter(name string, get func(*Row) uint64) column {
	return &value[uint64]{name: name, get: get}
}
func flag(name string, get func(*Row) bool) column { return &value[bool]{name: name, get: get} }
func moment(name string, get func(*Row) quota.Instant) column {
	return &instant{name: name, get: get}
}

// writtenColumns returns every column of the table but inserted_at, which ClickHouse fills.
func writtenColumns() []column {
	return append(comparedColumns(), text("data", (*Row).data))
}

// comparedColumns returns the columns that depend on nothing but the commit. The data does not count:
// a later version may write more fields of the same event.
func comparedColumns() []column {
	return slices.Concat(identityColumns(), workColumns(), usageColumns(), limitColumns())
}

func identityColumns() []column {
	return []column{
		text("workspace", func(r *Row) string { return r.Workspace }),
		text("ledger_id", func(r *Row) string { return r.LedgerID }),
		counter("commit", func(r *Row) uint64 { return r.Commit }),
		&value[int32]{name: "idx", get: func(r *Row) int32 { return r.Index }},
		counter("epoch", func(r *Row) uint64 { return r.Epoch }),
		moment("committed_at", func(r *Row) quota.Instant { return r.CommittedAt }),
		text("kind", func(r *Row) string { return r.Kind }),
		moment("at", func(r *Row) quota.Instant { return r.At }),
		&value[uint32]{name: "events", get: func(r *Row) uint32 { return r.Events }},
		text("commit_id", func(r *Row) string { return r.CommitID }),
	}
}

func workColumns() []column {
	return []column{
		text("reservation", func(r *Row) string { return r.Reservation }),
		text("principal", func(r *Row) string { return r.Labels.Principal }),
		text("agent", func(r *Row) string { return r.Labels.Agent }),
		text("team", func(r *Row) string { return r.Labels.Team }),
		text("provider", func(r *Row) string { return r.Labels.Provider }),
		text("account", func(r *Row) string { return r.Labels.Account }),
		text("model", func(r *Row) string { return r.Labels.Model }),
		text("task_type", func(r *Row) string { return r.Labels.TaskType }),
		text("complexity", func(r *Row) string { return r.Labels.Complexity }),
		number("files", func(r *Row) int64 { return r.Labels.Files }),
		number("estimated_tokens", func(r *Row) int64 { return r.Labels.Estimated }),
		text("priority", priorityName),
		number("input_tokens", func(r *Row) int64 { return r.Amount.Tokens.Input }),
		number("cache_read_tokens", func(r *Row) int64 { return r.Amount.Tokens.CacheRead }),
		number("cache_write_5m_tokens", func(r *Row) int64 { return r.Amount.Tokens.CacheWrite5m }),
		number("cache_write_1h_tokens", func(r *Row) int64 { return r.Amount.Tokens.CacheWrite1h }),
		number("output_tokens", func(r *Row) int64 { return r.Amount.Tokens.Output }),
		number("requests", func(r *Row) int64 { return r.Amount.Requests }),
		number("cost_micro_usd", func(r *Row) int64 { return r.Cost }),
		flag("unpriced", func(r *Row) bool { return r.Unpriced }),
	}
}

// priorityName leaves out what has no priority.
func priorityName(r *Row) string {
	if r.Labels.Priority == 0 {
		return ""
	}
	return r.Labels.Priority.String()
}

func usageColumns() []column {
	return []column{
		moment("occurred_at", func(r *Row) quota.Instant { return r.OccurredAt }),
		moment("granted_at", func(r *Row) quota.Instant { return r.GrantedAt }),
		text("standing", func(r *Row) string { return string(r.Standing) }),
		text("call_id", func(r *Row) string { return r.CallID }),
		flag("batch", func(r *Row) bool { return r.Batch }),
		text("session", func(r *Row) string { return r.Session }),
		text("project", func(r *Row) string { return r.Project }),
		number("overrun_tokens", func(r *Row) int64 { return r.Overrun }),
		text("code", func(r *Row) string { return string(r.Code) }),
		text("outcome", func(r *Row) string { return string(r.Outcome) }),
		text("reason", func(r *Row) string { return r.Reason }),
		number("granted_tokens", func(r *Row) int64 { return r.GrantedTokens }),
		number("granted_requests", func(r *Row) int64 { return r.GrantedRequests }),
		moment("expires_at", func(r *Row) quota.Instant { return r.Expires }),
		counter("config_version", func(r *Row) uint64 { return r.ConfigVersion }),
	}
}

func limitColumns() []column {
	return []column{
		text("limit_id", func(r *Row) string { return r.Limit }),
		text("unit", func(r *Row) string { return string(r.Unit) }),
		number("requested", func(r *Row) int64 { return r.Requested }),
		number("available", func(r *Row) int64 { return r.Available }),
		flag("retryable", func(r *Row) bool { return r.Retryable }),
		number("retry_after_ms", func(r *Row) int64 { return int64(r.RetryAfter) }),
		moment("window_start", func(r *Row) quota.Instant { return r.Window.Start }),
		moment("window_end", func(r *Row) quota.Instant { return r.Window.End }),
		number("limit_used", func(r *Row) int64 { return r.LimitUsed }),
		number("limit_capacity", func(r *Row) int64 { return r.LimitCapacity }),
		number("threshold_percent", func(r *Row) int64 { return r.Threshold }),
		number("used_percent_milli", func(r *Row) int64 { return r.PercentMilli }),
		text("tier", func(r *Row) string { return r.Tier }),
		text("source", func(r *Row) string { return r.Source }),
		flag("effective", func(r *Row) bool { return r.Effective }),
		text("target", func(r *Row) string { return r.Target }),
		&list[string]{name: "limits.id", get: func(r *Row) []string { return r.LimitIDs }},
		&instants{name: "limits.window", get: func(r *Row) []quota.Instant { return r.LimitWindows }},
		&list[int64]{name: "limits.amount", get: func(r *Row) []int64 { return r.LimitAmounts }},
		&list[int64]{name: "limits.within", get: func(r *Row) []int64 { return r.LimitWithin }},
	}
}
