package relay

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// purge removes a workspace's commits before a revision, as the maintenance may.
func (b *bench) purge(workspace string, before uint64) {
	b.t.Helper()
	stream, err := b.site.JetStream(natsauth.RoleMaintenance).Stream(b.t.Context(), wire.StreamLedger)
	if err != nil {
		b.t.Fatal(err)
	}
	key, err := wire.LedgerKey(workspace)
	if err != nil {
		b.t.Fatal(err)
	}
	err = stream.Purge(b.t.Context(), jetstream.WithPurgeSubject(wire.KeySubject(wire.BucketLedger, key)), jetstream.WithPurgeSequence(before))
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) wantGaps(when string, want float64) {
	b.t.Helper()
	if n := testutil.ToFloat64(b.metrics.gaps); n != want {
		b.t.Errorf("%s: %v gaps were counted, want %v", when, n, want)
	}
}

// Commits that are removed before they are relayed are missed aloud, by a relay that knows the one before them and by one
// that was just started; the rest goes on. What was relayed may go.
func TestCommitsThatAreGoneAreMissed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.relay("")
	for range 4 {
		b.commit("acme", denied("a")) // revisions 1 to 4
	}
	b.commit("other", denied("b")) // 5
	b.published(5)
	b.wantGaps("nothing is gone", 0)
	b.numbers["acme"] += 2
	b.commit("acme", denied("a")) // 6, without two before it
	b.commit("acme", denied("a")) // 7
	b.put("acme", []byte("not a commit"))
	b.commit("acme", denied("a")) // 9
	b.published(8)
	b.wantGaps("numbers 5 and 6 are not there", 1)
	b.stop()

	b.purge("acme", 9) // as a trim does: the last one that was relayed stays
	b.relay("")
	b.commit("acme", denied("a")) // 10
	b.published(9)
	b.wantGaps("only what was relayed is gone", 0)
	b.stop()

	b.commit("acme", denied("a"))  // 11
	b.commit("acme", denied("a"))  // 12
	b.commit("other", denied("b")) // 13
	b.purge("acme", 12)
	b.relay("")
	defer b.stop()
	b.published(11)
	b.wantGaps("revision 11 is gone", 1)
	b.commit("acme", denied("a"))
	b.commit("third-", denied("c"))
	b.published(13)
	b.wantGaps("the next one follows", 1)
}

// A workspace's ledger that is another than before begins anew; one that lacks its beginning has a gap.
func TestAnotherLedgerBeginsAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.relay("")
	defer b.stop()
	for i, want := range []float64{0, 0, 1} {
		b.ledger = byte(i)
		b.numbers["acme"] = uint64(i) / 2 * 6 // the third begins with commit 7
		b.commit("acme", denied("a"))
		b.commit("acme", denied("a"))
		b.published(2*i + 2)
		b.wantGaps("after another ledger", want)
	}
}

// What the ledger still holds was relayed and acknowledged by another process, while this one was held up.
func TestWhatAnotherRelayedIsNotGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 6 {
		b.commit("acme", denied("a"))
		b.commit("other", denied("b"))
	}
	b.metrics = NewMetrics(prometheus.NewRegistry())
	c := newChain(Options{JetStream: b.site.JetStream(natsauth.RoleRelay), Metrics: b.metrics, Log: slog.New(slog.DiscardHandler)})
	stream, err := b.site.JetStream(natsauth.RoleReader).Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []uint64{3, 5, 3, 9} { // commits 2, 3, 2 again and 5 of acme
		raw, err := stream.GetMsg(t.Context(), revision)
		if err != nil {
			t.Fatal(err)
		}
		commit, err := ledger.DecodeEvents(raw.Data)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.follow(t.Context(), bus.Record{Subject: raw.Subject, Sequence: raw.Sequence}, commit); err != nil {
			t.Fatal(err)
		}
		b.wantGaps(fmt.Sprintf("at revision %d", revision), 0)
	}
}
