// Package record turns commits into rows of bursar.ledger_events.
//
// It is the one place that says which field of which event goes into which column: the writer fills
// its batches here, and the comparison of ClickHouse with the ledger expects here what it should find.
//
// It guarantees that equal commits give equal rows, in every column but inserted_at, which ClickHouse
// fills: a row depends on the commit and its workspace and on nothing else, so that a repeat is one.
package record
