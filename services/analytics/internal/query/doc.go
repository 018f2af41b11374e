// Package query answers questions about the past from ClickHouse: summaries, histories and peaks, and forecasts.
//
// It guarantees that an answer is well formed whatever the data are, none at all included: no division
// by zero, no missing list. Usage counts in the time in which it occurred, decisions in the time in
// which they were taken. An answer says through which ledger time it is complete; what was committed
// after that may be missing.
package query
