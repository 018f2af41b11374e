// Package writer is the commit protocol of one ledger: a step machine that decides, commits, and answers.
//
// It exists so that the protocol can be simulated: [Writer.Step] takes one [Input] and the time and returns the
// [Action]s to take. It has no goroutine, clock, randomness or network of its own; whoever runs it publishes, reads,
// replies and sets timers, and hands every outcome back as an input. Equal inputs give equal actions.
//
// # What it guarantees
//
//   - A request is answered with success or refusal only after the commit that holds the decision is known to be in the
//     log: acknowledged by the store, or found there by its commit id.
//   - At most one commit is in flight, at an expected revision; so of two writers that both believe to lead, one commits.
//   - A new reign commits its epoch before it serves and serves only when its clock agrees with the server's.
//   - An outcome that is not known is resolved by reading the log, and is never told as a denial. While it is not known
//     the same bytes are sent again, never others.
//   - A request id that was decided is never decided again.
//   - Every request gets exactly one [Reply] or [FetchAnswer], at the latest after [MaxWait] once Wake inputs come as asked.
//
// # What the caller must do
//
// Take the actions of a step in their order before the next step. Answer each Publish with one PublishOutcome, each Read
// with one ReadOutcome and each Load with one Loaded or LoadFailed, the newest last; outcomes of older attempts are
// ignored. Give Wake at the time of the last Timer. Elapsed time comes from a monotonic clock.
//
// # What the caller must tolerate
//
// A reply may be unavailable although the decision is or will be committed: the client asks again with the same request
// id and gets the answer. Reads are answered from the state after everything they saw is committed; a writer that was
// deposed and does not know it yet may answer a read from before that.
package writer
