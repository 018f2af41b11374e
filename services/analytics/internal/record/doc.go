// Package record turns commits into rows of bursar.ledger_events.
//
// It is the one place that says which field of which event goes into which column: the writer fills
// its batches here, and the comparison of ClickHouse with the ledger expects here what it should find.
//
// It guarantees that equal commits give equal rows, in every column but two: inserted_at, which
// ClickHouse fills, and data, the public form of the event, to which a later version may add fields.
// All else depends on the commit and its workspace only, so that a repeat is one.
package record
