// Package sim runs the writer and the state machine through schedules of faults, deterministically.
//
// One schedule, made from one seed, is a small world: a store that keeps the log of one ledger, three processes that
// each run a [writer.Writer], an election that is often wrong, and agents that send commands and ask again until they
// are answered. Time is simulated. For a while the world is full of faults: acknowledgements are lost, writes land late,
// verdicts are missing, processes are killed between any two actions, stopped and continued, two lead at once, clocks
// jump, keyframes are damaged. Then it is calm, and everybody must get an answer.
//
// What is checked stands in oracle.go, and none of it uses the code under test to judge itself where arithmetic of its
// own can: the log is folded a second time by a model that knows holds and charges only.
//
// The same seed gives the same schedule, step by step, so a violation is found again with SEED=… make sim.
package sim
