// Package rollup keeps sums of the events, so that questions about much usage need not read it: bursar.hourly by hour and
// label, bursar.charges by limit, window and quarter of an hour, bursar.waits by hour, priority and outcome; and a copy of the
// few events that tell of limits and configurations, bursar.limit_log, which no sum can take the place of.
//
// # How
//
// The commits of a ledger are summed in blocks of BlockCommits. A block is always summed whole, from FINAL,
// by one INSERT that also says through which commit the ledger is summed; the last block is summed again as
// it grows. A row of a later sum replaces that of an earlier one, because it has the same key and a higher
// through. Each table has marks of its own, so that one that is added later is filled from the first commit on.
//
// # What is guaranteed
//
//   - What is summed through commit n are the events of the commits 1 to n, each once, however often the same
//     block was summed, and whatever was killed in between: the sums and the mark that tells of them are one
//     block of one INSERT, which ClickHouse stores whole or not at all.
//   - A sum is never of a gap: only commits up to a ledger's position, before which none is missing, are summed.
//   - Late usage needs no care: it is in a new commit, and a sum of it in an old hour is a row of its own.
//
// # What the caller must tolerate
//
// Sums are some seconds behind the events. Who must know to the last commit adds the events of the commits
// after the mark, which the sort key of the events finds at once; package query does.
package rollup
