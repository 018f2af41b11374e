// Package quota is the pure domain of Bursar: one ledger per workspace, decided by a state machine.
//
// It exists so that the rule that grants or refuses can be read, tested and simulated without a server:
// [Decide] turns a state and a command into events and a result, [Apply] folds one event into the state,
// and nothing else changes a state. The package imports the standard library only and never reads a clock,
// randomness or the network; time, ids and prices come in as arguments.
//
// It guarantees, after every event that Decide returned is applied in order:
//
//   - for each limit that counts spending, limit + over = available + held + used + outside, all ≥ 0;
//   - for each hold of each reservation, granted = used within + returned + held;
//   - the held part of a limit is the sum of what live reservations hold on it;
//   - a bucket's level never exceeds its burst and depends only on its last level, the debits and the time between;
//   - a refusal leaves every limit as it was.
//
// [State.Check] verifies all of that. Callers must apply the events of one decision before they ask for the
// next, must call [Decide] with a [Tick] before the commands of a group so that windows and leases are current,
// and must not share a State between goroutines.
//
// # Glossary
//
// One word, one meaning; a new noun goes here first.
//
//	workspace     the tenant; has exactly one ledger
//	account       one subscription or API organisation at a provider; kind subscription or api
//	limit         a number over a window, on an account, a model group of it, a team, an agent or the workspace
//	window        how a limit counts: session (opens at first use, lasts a fixed time), calendar (day, week or
//	              month at a zone and anchor, or until an instant the provider told), bucket (continuous refill),
//	              concurrent (live reservations)
//	unit          tokens, input_tokens, output_tokens, requests, micro_usd; integers only
//	token class   input, cache_read, cache_write_5m, cache_write_1h, output; a limit weighs each in thousandths
//	counter       what a limit has counted in its present window: used, held, outside
//	reserve       hold units on every binding limit before the work; the record is a reservation
//	room          how many units of a limit an ask may take now
//	reason        in one word why a limit refuses: depleted, held_back, closed, too_large
//	hold          what one reservation keeps on one limit
//	report        record actual usage; the reservation stays open
//	settle        last usage and close; the rest returns
//	release       close without further usage; the rest returns
//	extend        more time, more units, or both
//	expire        closed by time
//	revoke        closed by an operator or a higher priority
//	lease         how long a reservation lives without a sign of life; a report or an extend renews it
//	overrun       used more than reserved: recorded in full, answered with allocation_exceeded
//	observation   what the provider itself says of a window (utilisation, remaining, reset)
//	outside       observed use minus our own books: spending that did not pass us (drift)
//	block         an operator's order that nothing new is granted on an account, to a team, to an agent, or at all
//	principal     who holds credentials; may run many agents
//	agent         who works
//	team          who is charged
//	priority      which waits first: low, normal, high, critical
//	ladder        what a reserve tries in turn when quota runs short; each way is a rung
//	alternative   what would be granted instead of what was refused; nothing of it is held
//	queue         reserves that wait for their grant; an entry holds nothing (its struct is Waiting)
//	choice        an account and a model that may serve a reserve
//	bound         what an entry waits for: a limit with the units it needs there, or something else; all bounds of one choice
//	              have to give way, and then that choice can serve it
//	line          all entries that wait for the same; its first is the head
//	lane          of a line, the entries of one team and priority, the oldest first
//	passed        a head is, when what comes after it is granted before it; a line is kept when that may not go on
//	grace         the time in which a grant from the queue needs a sign of life, or it expires
//	share         what a team is to have of a limit that others use too: a floor, and the most that it may take
//	hold back     keep the last part of a window for higher priorities
//	fan-out       how many reservations a team or agent has at once, and how fast new ones come
//	floor         what a team is guaranteed of a limit; what nobody has taken of it is lent, or kept
//	borrow        to have more of a limit than one's floors; what is beyond them is borrowed
//	reclaim       take back what is lent, for the owner of the floor
//	preempt       have a reservation give back what it has not used, after a grace, for a floor
//	take          what one preempted reservation gives back of one limit; where something is left it goes on (shrunk)
//	owed          guaranteed by a floor to who waits, while others have it
//	foresight     how predicted grants of a provider and priority are corrected by what came of those before
//	opening       a window that has something to grant to those that wait, now or from a reset on
//	flow          how fast units have come back on a limit lately
//	notice        something an agent must learn (expiring, expired, revoked, granted, …); kept until acknowledged
//	commit        one revision of the ledger: the events and results of one group of commands
//	epoch         the reign of one writer over a ledger
//	suggestion    one advice with evidence, saving and confidence
package quota
