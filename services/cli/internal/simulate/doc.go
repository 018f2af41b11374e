// Package simulate lets many tenants work for days against the pure state machine, in seconds and without a server.
//
// Agents arrive, estimate, reserve, wait, work, report, extend and settle; some die. The rules that grant, refuse, queue
// and preempt are those of pkg/quota and no others: a policy changes the configuration and how agents ask, never a rule.
// So what is measured here holds for a real ledger with the same configuration.
//
// It guarantees that the same options give the same report, that every invariant of the state is checked each simulated
// hour and at the end, and that two policies see the same jobs with the same calls at the same times. What it does not
// know is how people behave: jobs are drawn from published measurements (workload.go), and nobody asks for less because
// they were refused.
package simulate
