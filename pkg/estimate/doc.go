// Package estimate says how many tokens a task will probably cost before anybody has worked on it.
//
// An estimate starts from the base figures of the task's type (a [Table] row), and is scaled by up
// to three factors: the number of files, the complexity the caller states, and the margin of the
// conservative variant. All arithmetic is integer, in thousandths, and rounds the total up, so an
// estimate never promises less than its formula.
//
// # Guarantees
//
//   - InputTokens + OutputTokens = TotalTokens, always; both parts scale with the total, in the
//     ratio of the base figures, so that no factor changes the total and leaves the parts behind.
//   - More files, a higher complexity or the conservative variant never lower an estimate.
//   - The package is pure: no clock, no randomness, no package state. The same task gives the same
//     estimate in every process.
//
// # Two meanings of complexity
//
// The complexity in a table row ("analysis is high") describes the usual task of that type: the base
// figures already contain it, and it is only a label of the answer. The complexity in a [Task] is
// what the caller says of this one task against a usual one of its type: [Low] (also written
// "simple") takes ×0.7, [High] (also written "complex") takes ×1.5, [Medium] takes ×1. A task that
// states none keeps the label of its row and the factor ×1. Hence a complex analysis is ×1.5 although
// the row already says high, and a medium quick query is ×1 although the row says low.
//
// # What callers must tolerate
//
// The base figures are priors, not measurements: real tasks of one type differ by an order of
// magnitude and more between runs. Reserve with the conservative variant when running short costs
// more than holding back, and report what was really used.
package estimate
