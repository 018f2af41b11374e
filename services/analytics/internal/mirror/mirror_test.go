package mirror

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/chtest"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
	"github.com/bursarhq/bursar/services/analytics/internal/schema"
)

func TestMain(m *testing.M) {
	chembed.MaybeRunChild()
	os.Exit(m.Run())
}

func TestCopy(t *testing.T) {
	t.Parallel()
	server := chtest.Start(t)
	conn, analyst := chtest.Open(t, server, chembed.UserWriter), chtest.Open(t, server, chembed.UserAnalyst)
	if err := schema.Migrate(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	nc, err := natsconn.Connect(t.Context(), natsconn.Config{Name: "mirror", URL: natstest.Start(t, natstest.Listen()).URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: wire.BucketSuggestions})
	if err != nil {
		t.Fatal(err)
	}
	list := func(ids ...string) {
		t.Helper()
		l := wire.SuggestionList{Workspace: "acme", AsOf: 1_790_000_000_000}
		for _, id := range ids {
			l.Suggestions = append(l.Suggestions, wire.Suggestion{SuggestionID: id, Rule: "cache_use", Title: "t", SavingMicroUSD: 5, ConfidencePercent: 62_500, MadeAt: 1_780_000_000_000,
				WindowStartsAt: 1_779_000_000_000, WindowEndsAt: 1_780_000_000_000})
		}
		key, err := wire.SuggestionsKey("acme")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Put(t.Context(), key, raw); err != nil {
			t.Fatal(err)
		}
	}
	progress := rollup.NewProgress()
	m := New(conn, bucket, progress, slog.New(slog.DiscardHandler))
	copyAndWant := func(current, all uint64) {
		t.Helper()
		if err := m.Copy(t.Context()); err != nil {
			t.Fatal(err)
		}
		var gotCurrent, gotAll uint64
		chtest.Read(t, func(ctx context.Context) error {
			return analyst.QueryRow(ctx, "SELECT countIf(current), count() FROM analyst.suggestions WHERE workspace = 'acme' AND confidence_percent = 62.5 AND saving_micro_usd = 5").Scan(&gotCurrent, &gotAll)
		})
		if gotCurrent != current || gotAll != all {
			t.Errorf("%d suggestions, %d of them current; want %d, %d", gotAll, gotCurrent, all, current)
		}
	}
	list("a", "b")
	copyAndWant(0, 0) // nothing is stored of any workspace: there may be no tables
	progress.Stored(rollup.Ledger{Workspace: "acme", ID: "l"}, 1)
	copyAndWant(2, 2)
	copyAndWant(2, 2)
	list("b", "c")
	copyAndWant(2, 3)
	list()
	copyAndWant(0, 3)
	progress.Restart()
	progress.Stored(rollup.Ledger{Workspace: "acme", ID: "l"}, 1)
	copyAndWant(0, 3)

	var input, read int64
	chtest.Read(t, func(ctx context.Context) error {
		return analyst.QueryRow(ctx, "SELECT input_micro_usd, cache_read_micro_usd FROM analyst.prices WHERE workspace = '' AND model = 'claude-opus-4-5' AND valid_to IS NULL").Scan(&input, &read)
	})
	if input != 5_000_000 || read != 500_000 {
		t.Errorf("claude-opus-4-5 costs %d, %d from a cache", input, read)
	}
}
