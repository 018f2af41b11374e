// Package learn estimates tasks from what earlier ones really used.
//
// A [Book] holds, for one workspace, the distribution of the tokens that settled reservations used, at five levels from
// coarse to fine: task type; and complexity; and model; and agent; and files (in ranges, see [FilesRange]). Above them
// stands one distribution of used ÷ table over all types, which learns the scale of the table of pkg/estimate.
//
// # The formula
//
// Each level is a Dirichlet process around the level above it (Ferguson, "A Bayesian analysis of some nonparametric
// problems", 1973; nested as in "Hierarchical Dirichlet processes", JASA, 2006). What the next task will use
// is then distributed as
//
//	P(level) = n/(n+κ) · observed(level) + κ/(n+κ) · P(level above)
//
// The topmost P is the prior: a log-normal whose median is the table's figure and whose 90 % point is ×1.3 of it. So a
// level with much evidence speaks for itself and one with little hands on to the coarser one, without a threshold; with no
// evidence at all the table stands as it is. The classes of tokens are mixed by the same weights.
//
// # Which quantile
//
// The target is a share of all tasks. Which share of each kind is to fit is weighed: the tokens that one more task of a
// kind would cost, F(q)/f(q) at its quantile q, are to be the same for every kind, since otherwise tokens could be moved
// from one to another and cover more. So costly kinds are aimed at less, down to 10 points below the target, and cheap
// ones at more, up to 99 %. The price is worked out anew with every twentieth part of new tasks.
//
// The quantile is the geometric mean of the mixture's own and that of the log-normal with its mean and deviation (of the
// logarithms), which wavers less in a tail of few tasks. What is wrong with either is steered away: after each settled
// reservation the level of its task type moves by γ·(aim − covered), covered being 1 or 0 (Gibbs and Candès, "Adaptive
// conformal inference under distribution shift", 2021). That keeps the coverage at the aim in the long run, whatever the
// distribution.
//
// # Guarantees
//
//   - Each commit counts once: a Book knows its ledger and the last commit it has read.
//   - A reservation is scored against the estimate that stood when it was granted, before it was learned from.
//   - Memory is bounded: MaxKeys keys, MaxBins bins each, MaxStanding open reservations. The oldest make room.
//   - A stored Book that is read back gives the same estimates and scores.
//   - The package reads no clock and no randomness: the same commits give the same Book.
//
// Callers must tolerate that figures are exact to [Accuracy] only, and must not share a Book between goroutines that
// change it; [Book.Estimate] changes nothing.
package learn
