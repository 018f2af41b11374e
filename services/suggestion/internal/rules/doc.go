// Package rules turns a week of a workspace into advice.
//
// A [Window] is folded from ledger events: what was used, held, returned and refused over the last seven
// days, in slots of six hours. A [Rule] is a pure function of a window; [Evaluate] runs all of them. Neither
// reads a clock: the window's time is ledger time, so that the same commits give the same advice, before and
// after a restart.
//
// # Guarantees
//
//   - Memory is bounded by the constants of this package; what exceeds them is summed under [Other].
//   - A saving is computed from the prices of the catalogue, of tokens that were really used, held or refused. It is
//     never negative and never more than what the evidence cost.
//   - A confidence is computed from the evidence, see [wilson]: more of it, and more of it pointing one way, gives more.
//
// # What callers must tolerate
//
// The window moves by slots: at its old end it keeps between six days and eighteen hours, and seven days. Usage that is
// reported later than that after it happened is not seen.
package rules
