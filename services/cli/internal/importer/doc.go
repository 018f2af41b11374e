// Package importer brings usage that coding agents have already logged into the books: it reads the session logs where
// Claude Code and Codex keep them and reports each provider call as usage of an account without a reservation.
//
// It guarantees that a call counts once, however many lines, files and runs tell it: within a run by the rules of
// package trace, across runs by a memory of files and calls on this machine, and after a crash, or where that memory is
// lost, by the id of the call, of which the broker keeps the largest. A file is read on from where the last run ended;
// one that was replaced or cut is read anew.
//
// Callers must tolerate that a log is another program's internal file: a line that cannot be read is counted and
// skipped, and the last line of a file that is being written is left for the next run.
package importer
