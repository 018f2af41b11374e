// Package workload turns ledger events into what agents wanted: who asked for how much and when, how long it took, what
// was really used, and what was refused. A replay does that again under other rules (package whatif).
//
// A [Log] is fed with events in their order and keeps the jobs of the last days. It is pure and deterministic: the same
// events give the same jobs. Memory is bounded by the constants of this package; beyond them the oldest jobs are
// forgotten, and [Log.From] says from when on the log is whole.
//
// What it cannot know, since the ledger does not tell: whether a reserve would have taken another account than the one it
// was granted on, and what refused work would have used. The first is taken to be so, the second to be what such work
// usually uses of its reservation ([Log.Jobs]).
package workload
