// Package chembed runs a real ClickHouse server beside a Bursar process that was given no server of
// its own.
//
// The engine is libchdb, the ClickHouse server as a shared library. It must not live in the process
// it serves: an engine that aborts would take the broker with it, and its memory would count as
// ours. So Start re-executes the running binary as a child that does nothing but host the engine,
// watches it, and starts it again when it dies. Every main, and every TestMain, that may start a
// server therefore calls MaybeRunChild before anything else.
//
// What it guarantees:
//
//   - The address of the server stays the same for the life of the Server, across restarts of the
//     child: it is a small reverse proxy in this process, and only the proxy can reach the engine.
//     While the child is away the proxy answers 503 with Retry-After.
//   - Data that ClickHouse acknowledged survives a kill -9 of the child or of this process. It does
//     not survive a power cut: the engine does not fsync each insert. That is no loss here, since
//     everything in it can be read again from the ledger.
//   - What was asked, and what it took, is in system.query_log for 30 days, whatever is started again meanwhile.
//   - The child ends when this process ends, however that happens: it stops at end of file of its
//     standard input, a pipe that this process holds.
//
// What the caller must tolerate: a request under way when the child dies fails, and whether an
// insert among them happened is unknown.
//
// The server has three users. "default" is the engine's own and cannot log in through the proxy;
// UserWriter may do anything in the databases of Bursar; UserAnalyst may only read. Their passwords
// are made at the first start and kept in the data directory, readable by its owner only.
package chembed
