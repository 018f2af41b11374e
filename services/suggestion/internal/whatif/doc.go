// Package whatif replays what was wanted of a ledger through the pure state machine, with and without a change, and tells
// the difference day by day.
//
// Both replays begin with an empty ledger at the first job, under the configuration in force now; one of them has the
// [Change]. What they do the same way cancels out: neither knows the spending that did not pass the ledger, nor the state of
// windows before the first job. [Run] decides with [quota.Decide] and folds with [quota.Apply] and nothing else.
//
// # What a replay can not know
//
// Agents would behave differently: who waits less asks for more, another model may need more tokens for the same work,
// and work that is shifted may be of less use. A job does here what it did then. Refused work uses what such work usually
// does, and asks again for as long as it did.
package whatif
