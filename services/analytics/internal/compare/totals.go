package compare

import (
	"context"
	"fmt"

	"github.com/bursarhq/bursar/pkg/quota"
)

const tokens = "input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens"

// sums computes the totals of the commits that were added from the columns alone.
func (c *Comparer) sums(ctx context.Context) (quota.Totals, error) {
	const query = `SELECT
		countIf(kind = 'reservation.granted'),
		countIf(kind = 'reservation.denied'),
		countIf(kind = 'reservation.denied' AND code IN ('insufficient_quota', 'concurrent_limit_exceeded') AND reason != 'held_back'),
		countIf(kind = 'reservation.closed' AND outcome = 'settled'),
		countIf(kind = 'reservation.closed' AND outcome = 'released'),
		countIf(kind = 'reservation.closed' AND outcome = 'expired'),
		countIf(kind = 'reservation.closed' AND outcome = 'revoked'),
		countIf(kind = 'reservation.closed' AND outcome = 'preempted'),
		countIf(kind = 'reservation.shrunk'),
		countIf(kind = 'usage.recorded'),
		countIf(kind = 'reservation.queued'),
		countIf(kind = 'reservation.dequeued' AND outcome = 'granted'),
		countIf(kind = 'reservation.dequeued' AND outcome = 'cancelled'),
		countIf(kind = 'reservation.dequeued' AND outcome = 'timed_out'),
		countIf(kind = 'reservation.dequeued' AND outcome = 'refused'),
		sumIf(` + tokens + `, kind IN ('reservation.granted', 'reservation.extended')),
		sumIf(` + tokens + `, kind = 'usage.recorded'),
		sumIf(overrun_tokens, kind = 'usage.recorded'),
		sumIf(greatest(0, granted_tokens - (` + tokens + `)), kind = 'reservation.closed') + sumIf(` + tokens + `, kind = 'reservation.shrunk'),
		sumIf(requests, kind = 'usage.recorded'),
		sumIf(cost_micro_usd, kind = 'usage.recorded'),
		sumIf(` + tokens + `, kind = 'usage.recorded' AND unpriced),
		sumIf(` + tokens + `, kind = 'usage.recorded' AND standing = 'unreserved')
	FROM bursar.ledger_events FINAL
	WHERE workspace = ? AND ledger_id = ? AND commit BETWEEN ? AND ?`
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var t quota.Totals
	counts := []*int64{
		&t.Granted, &t.Denied, &t.Exhausted, &t.Settled, &t.Released, &t.Expired, &t.Revoked, &t.Preempted, &t.Shrunk, &t.UsageEvents,
		&t.Queued, &t.QueueGranted, &t.QueueCancelled, &t.QueueTimedOut, &t.QueueRefused,
	}
	n := make([]uint64, len(counts))
	row := make([]any, 0, len(counts)+8)
	for i := range n {
		row = append(row, &n[i])
	}
	row = append(row, &t.Reserved, &t.Used, &t.Overrun, &t.Returned, &t.Requests, &t.Cost, &t.Unpriced, &t.Unreserved)
	if err := c.conn.QueryRow(ctx, query, c.workspace, c.ledgerID, c.first, c.last).Scan(row...); err != nil {
		return t, fmt.Errorf("summing events: %w", err)
	}
	for i, to := range counts {
		*to = int64(n[i])
	}
	overruns, covered, err := c.overruns(ctx)
	t.Overruns = overruns
	t.Overrun -= covered
	return t, err
}

// overruns follows each reservation's granted and used tokens: how often one went beyond what was
// granted, and how many tokens of overrun an extension covered afterwards.
func (c *Comparer) overruns(ctx context.Context) (times, covered int64, err error) {
	const query = `WITH steps AS
	(
		SELECT
			commit, kind,
			if(kind = 'usage.recorded', ` + tokens + `, 0) AS used,
			multiIf(kind = 'usage.recorded', 0, kind = 'reservation.shrunk', -(` + tokens + `), ` + tokens + `) AS granted,
			sum(used) OVER w AS used_so_far,
			sum(granted) OVER w AS granted_so_far
		FROM bursar.ledger_events FINAL
		WHERE workspace = ? AND ledger_id = ? AND commit <= ? AND kind IN ('reservation.granted', 'reservation.extended', 'reservation.shrunk', 'usage.recorded')
			AND standing NOT IN ('unknown', 'unreserved')
		WINDOW w AS (PARTITION BY reservation ORDER BY commit, idx ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
	)
	SELECT
		countIf(kind = 'usage.recorded' AND used_so_far > granted_so_far AND used_so_far - used <= granted_so_far),
		sumIf(greatest(0, used_so_far - (granted_so_far - granted)) - greatest(0, used_so_far - granted_so_far), kind = 'reservation.extended')
	FROM steps
	WHERE commit >= ?`
	var n uint64
	if err := c.conn.QueryRow(ctx, query, c.workspace, c.ledgerID, c.last, c.first).Scan(&n, &covered); err != nil {
		return 0, 0, fmt.Errorf("following overruns: %w", err)
	}
	return int64(n), covered, nil
}

// named are the totals one by one.
func named(t quota.Totals) []struct {
	name  string
	value int64
} {
	return []struct {
		name  string
		value int64
	}{
		{"granted", t.Granted}, {"denied", t.Denied}, {"exhausted", t.Exhausted}, {"settled", t.Settled}, {"released", t.Released},
		{"expired", t.Expired}, {"revoked", t.Revoked}, {"overruns", t.Overruns}, {"reserved tokens", t.Reserved},
		{"used tokens", t.Used}, {"overrun tokens", t.Overrun}, {"returned tokens", t.Returned}, {"requests", t.Requests},
		{"cost in micro-USD", t.Cost}, {"unpriced tokens", t.Unpriced}, {"usage events", t.UsageEvents},
		{"unreserved tokens", t.Unreserved},
		{"preempted", t.Preempted}, {"shrunk", t.Shrunk}, {"queued", t.Queued}, {"granted from the queue", t.QueueGranted}, {"cancelled in the queue", t.QueueCancelled},
		{"timed out in the queue", t.QueueTimedOut}, {"refused in the queue", t.QueueRefused},
	}
}

func differences(got, want quota.Totals) []string {
	var wrong []string
	wanted := named(want)
	for i, total := range named(got) {
		if total.value != wanted[i].value {
			wrong = append(wrong, fmt.Sprintf("%s: SQL gives %d, the ledger %d", total.name, total.value, wanted[i].value))
		}
	}
	return wrong
}

func minus(a, b quota.Totals) quota.Totals {
	return quota.Totals{
		Granted: a.Granted - b.Granted, Denied: a.Denied - b.Denied, Exhausted: a.Exhausted - b.Exhausted,
		Settled: a.Settled - b.Settled, Released: a.Released - b.Released, Expired: a.Expired - b.Expired, Revoked: a.Revoked - b.Revoked,
		Overruns: a.Overruns - b.Overruns, Reserved: a.Reserved - b.Reserved, Used: a.Used - b.Used, Overrun: a.Overrun - b.Overrun,
		Returned: a.Returned - b.Returned, Requests: a.Requests - b.Requests, Cost: a.Cost - b.Cost, Unpriced: a.Unpriced - b.Unpriced,
		UsageEvents: a.UsageEvents - b.UsageEvents, Unreserved: a.Unreserved - b.Unreserved,
		Preempted: a.Preempted - b.Preempted, Shrunk: a.Shrunk - b.Shrunk, Queued: a.Queued - b.Queued, QueueGranted: a.QueueGranted - b.QueueGranted,
		QueueCancelled: a.QueueCancelled - b.QueueCancelled, QueueTimedOut: a.QueueTimedOut - b.QueueTimedOut, QueueRefused: a.QueueRefused - b.QueueRefused,
	}
}
