// Package consume brings the commits of the ledger stream into ClickHouse, each exactly once.
//
// # How
//
// The stream is read through one durable consumer, in ranges of messages that follow one another. For
// each range the Writer takes these steps, whose order is the guarantee:
//
//  1. decode the commits; those that cannot be read are kept as they are;
//  2. leave out what ClickHouse holds already, by number;
//  3. if a commit does not follow the last one that ClickHouse holds, stop: something is missing;
//  4. insert;
//  5. note how far the ledger is stored;
//  6. let the range be acknowledged.
//
// A crash between any two steps repeats the range, and step 2 then finds what was inserted. When the
// outcome of an insert is not known, because ClickHouse died or did not answer, the Writer waits until
// no insert of ours runs, looks which commits are there, and sends the others: never the same commit
// twice, and never none.
//
// When ClickHouse holds less than was acknowledged, because its disk was lost or replaced, Reconcile
// finds the first commit that is missing and sets the consumer back to it. So the position is what
// ClickHouse holds, never what was acknowledged.
//
// # What the caller must tolerate
//
// One process at a time may consume. Two of them lose nothing, but may insert the same commit twice;
// readers with FINAL see it once.
//
// Memory is bounded: a range, its decoded commits one at a time, and one batch of columns; a
// ClickHouse that is away or slow makes the Writer wait, and the stream keeps what comes.
package consume
