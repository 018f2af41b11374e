// Package engine runs the commit protocol of one workspace: it drives a writer.Writer with what JetStream, the lease
// and the front say, and takes the actions that the writer asks for.
//
// One goroutine steps the writer. Publishing, reading, following the log and storing keyframes happen beside it and come
// back as inputs; replies leave through a goroutine of their own, in order. Requests that arrive while a commit is in
// flight are handed over together, which is where groups come from. The engine decides nothing: the rules are in
// pkg/quota, the protocol is in pkg/writer.
//
// While it does not lead, the engine follows the log, so that a takeover has only the last commits to fold.
//
// It guarantees that every call is done exactly once, at the latest when Run returns. Callers must tolerate that a call
// is answered with unavailable at any time, and that Done runs on one of the engine's goroutines and must not block.
package engine
