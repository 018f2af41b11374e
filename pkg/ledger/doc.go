// Package ledger is the durable record of one workspace: the commits, what they fold into, and how they are stored.
//
// A [Commit] holds the events of one group of decisions and the answers that were given. [Builder] encodes a commit
// while its decisions are made, [Decode] reads one, [Ledger] folds commits in order, [Ledger.Snapshot] and [Restore]
// turn a ledger into a keyframe and back, and [Verifier] checks a whole log. The package knows no network and reads no clock.
//
// It guarantees:
//
//   - a commit is folded only if it is the next one: same ledger, number one higher, no lower epoch, time not gone back,
//     and its Prev is the hash of the bytes of the commit before; so a log that was altered, cut or mixed is found;
//   - the totals that a commit carries are those of the fold, so that two programs that fold differently are found;
//   - the bytes of a commit are at most [MaxCommitBytes], carry a checksum, and equal commits have equal bytes;
//   - decoding is bounded in size, counts and depth: bytes from a stranger cost at most [MaxBodyBytes] of memory at a time;
//   - a request id that was answered is never run again: its answer is remembered, or its time is at or below the floor
//     under which every id is refused.
//
// Callers must not share a Ledger between goroutines, and must throw a Ledger away when Apply fails: part of the commit
// may have been folded.
//
// # The bytes of a commit
//
//	"BQL" version codec reserved[3] body_length[4] crc32c[4] body
//
// Numbers are big-endian. The codec is 0 for a plain body and 1 for S2. The checksum (Castagnoli) covers the header
// before it and the stored body. The body is deterministic CBOR with integer keys; an event is [kind number, payload].
// A field or event kind that this version does not know is an error that names both versions, never skipped: a program
// that does not know what it folds must not lead.
package ledger
