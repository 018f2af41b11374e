package consume

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/fleet"
	"github.com/bursarhq/bursar/services/analytics/internal/record"
	"github.com/bursarhq/bursar/services/analytics/internal/store"
)

func TestClickHouseReplacedByAnEmptyOne(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	f, g := fleet.New(1, time.Minute), fleet.New(2, time.Minute)
	b.send("acme", f, 200, 2)
	b.send("beta", g, 100, 2)
	b.await()
	b.check()
	b.stop()

	b.useServer(chtest.Start(t))
	b.send("beta", g, 50, 2)
	b.start("")
	b.send("acme", f, 1, 1)
	b.await()
	b.check()
}

func TestClickHouseLosesCommitsWhileRunning(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	f, g := fleet.New(1, time.Minute), fleet.New(2, time.Minute)
	b.send("acme", f, 60, 2)
	b.send("beta", g, 60, 2)
	b.await()
	// A hole below the position is found at the next start, lost tables at the next commit.
	if err := b.conn.Exec(t.Context(), "DELETE FROM bursar.ledger_events WHERE ledger_id = ? AND commit BETWEEN 20 AND 30", f.Ledger().String()); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.start("")
	b.send("acme", f, 1, 2)
	b.await()
	b.check()

	for _, statement := range []string{"DROP DATABASE analyst SYNC", "DROP DATABASE bursar SYNC"} {
		if err := b.conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	b.send("beta", g, 1, 2)
	b.await()
	b.check()
}

func TestClickHouseAwayAtTheStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.server.Kill(); err != nil {
		t.Fatal(err)
	}
	b.start("")
	b.send("acme", fleet.New(1, time.Minute), 50, 2)
	b.await()
	b.check()
}

func TestCommitsThatAreInNeitherPlaceAreGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	f := fleet.New(1, time.Minute)
	b.send("acme", f, 40, 2)
	b.await()
	b.stop()
	// Commits 31 to 50 are trimmed from the stream and never reach ClickHouse; 31 to 40 did, and are lost there.
	if err := b.conn.Exec(t.Context(), "DELETE FROM bursar.ledger_events WHERE commit > 30"); err != nil {
		t.Fatal(err)
	}
	b.send("acme", f, 30, 2)
	stream, err := b.js.Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	for revision := uint64(1); revision <= 50; revision++ {
		if err := stream.DeleteMsg(t.Context(), revision); err != nil {
			t.Fatal(err)
		}
	}
	sent := b.sent["acme"]
	b.sent["acme"] = append(sent[:30:30], sent[50:]...) // 31 to 50 are in neither place
	b.start("")
	b.await()
	b.check()
	if lost := testutil.ToFloat64(b.metrics.Lost); lost != 20 {
		t.Errorf("%v commits counted as lost, want 20", lost)
	}
	// The gap stays known: a restart neither repeats what came after it nor loses anything.
	b.stop()
	b.start("")
	b.send("acme", f, 10, 2)
	b.await()
	b.check()
}

func TestUnreadableCommitsAreKeptAndTheRestFlowsOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := fleet.New(1, time.Minute)
	torn := func() {
		t.Helper()
		commit, data, err := f.Next(2)
		if err != nil {
			t.Fatal(err)
		}
		if commit.Number == 0 {
			t.Fatal("a commit without a number")
		}
		b.publish("acme", append(bytes.Clone(data[:len(data)-3]), 0, 0, 0))
	}
	torn() // 1: at the very start
	b.send("acme", f, 9, 2)
	torn() // 11, 12
	torn()
	b.send("acme", f, 8, 2)
	// Every range is written twice, and then once more by a new process, with nothing repeated.
	b.start("analytics-before-ack=1*error(no)")
	b.await()
	b.send("acme", f, 5, 2)
	torn() // 26
	b.await()
	b.stop()
	b.start("")
	b.send("acme", f, 5, 2)
	b.await()
	b.check()
	const numbers = "SELECT toUInt64(sum(commit * 1000 + 1)) FROM analyst.unreadable WHERE workspace = 'acme' AND reason != '' AND raw_bytes > 0"
	if got, want := b.count(numbers), uint64((1+11+12+26)*1000+4); got != want {
		t.Errorf("unreadable commits add up to %d, want %d: 1, 11, 12 and 26 once each", got, want)
	}

	// A ClickHouse that lost everything gets them again.
	b.stop()
	b.useServer(chtest.Start(t))
	b.start("")
	b.send("acme", f, 1, 2)
	b.await()
	b.check()
	if got, want := b.count(numbers), uint64((1+11+12+26)*1000+4); got != want {
		t.Errorf("after a reload unreadable commits add up to %d, want %d", got, want)
	}
}

func TestMessagesThatAreNoCommits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start("")
	b.publish("acme", nil)
	b.publish("acme", []byte("hello"))
	if _, err := b.js.Publish(t.Context(), strings.TrimSuffix(wire.FilterLedger, ">")+"x.y", []byte("odd key")); err != nil {
		t.Fatal(err)
	}
	b.send("beta", fleet.New(1, time.Minute), 10, 1)
	b.await()
	b.check()
	if got := b.count("SELECT count() FROM analyst.unreadable WHERE commit = 0"); got != 3 {
		t.Errorf("%d messages kept as they are, want 3", got)
	}
}

// impatient gives inserts up after some milliseconds, as a client of a slow server does: some are stored
// all the same, some after it has given up.
type impatient struct {
	*store.Store
	attempts int
	gaveUp   int
}

// impatientAttempts is after how many inserts it waits as long as it takes.
const impatientAttempts = 12

func (s *impatient) Insert(ctx context.Context, b *record.Batch) error {
	if s.attempts++; s.attempts > impatientAttempts {
		return s.Store.Insert(ctx, b)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.attempts*29%110)*time.Millisecond)
	defer cancel()
	err := s.Store.Insert(ctx, b)
	if err != nil {
		s.gaveUp++
	}
	return err
}

func TestInsertsThatWereGivenUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	storage := &impatient{Store: store.New(b.conn)}
	b.startWith(storage, "")
	f := fleet.New(1, time.Second)
	for range 20 {
		b.send("acme", f, 100, 2)
	}
	b.await()
	b.stop()
	b.check()
	if storage.gaveUp == 0 {
		t.Error("no insert was given up")
	}
	t.Logf("%d of %d inserts were given up", storage.gaveUp, storage.attempts)
}
