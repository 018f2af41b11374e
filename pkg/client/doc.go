// Package client talks to Bursar from Go: it estimates, reserves, reports, extends, settles and releases quota for
// agents, and carries the requests of operators and analysts.
//
// It guarantees:
//
//   - a request that changes something has one request id for all of its tries, so that it is done at most once and
//     answered the same whichever try gets through;
//   - a call is tried again, with jittered growing pauses, while nobody answers or the answer is that nobody can decide
//     now, for [Options].Patience: longer than an election of leaders takes;
//   - a refusal is a *[wire.Error], matched by errors.Is with the sentinels of package wire; anything else that ends a
//     call is an *[Unanswered], which matches [wire.ErrUnavailable] and names the request id to go on with, but for
//     [nats.ErrMaxPayload]: a request that the server takes from nobody;
//   - what [Agent.Do] reserves is settled or released however the work ends: by return, error, cancellation or panic.
//
// A Client is safe for concurrent use and so is an Agent. Many agents share one connection: that is several times
// faster than one connection each.
//
// Callers must tolerate that a call which is cut off by its context, or ends unanswered, may have been carried out:
// repeat it with the same RequestID to learn what became of it. Reservations that nobody closes end with their lease.
package client
