package live

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsembed/natstest"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestDismissedAdviceIsNotShown: what was dismissed leaves the page at once, as it does `bursar suggest`, and not only with
// the next commit of the ledger, from which on the list is without it.
func TestDismissedAdviceIsNotShown(t *testing.T) {
	t.Parallel()
	nc := natstest.Connect(t, natstest.Start(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: wire.BucketSuggestions})
	if err != nil {
		t.Fatal(err)
	}
	put := func(of func(string) (string, error), value any) {
		t.Helper()
		key, err := of("acme")
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Put(t.Context(), key, data); err != nil {
			t.Fatal(err)
		}
	}
	shown := func() (ids []string) {
		t.Helper()
		p := NewPoller(NewBoard(), Source{Workspace: "acme", Reader: nc, Log: slog.New(slog.DiscardHandler)})
		body, err := p.Advice(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var list wire.SuggestionList
		if err := json.Unmarshal(body, &list); err != nil || list.Suggestions == nil {
			t.Fatalf("%s, %v", body, err)
		}
		for _, s := range list.Suggestions {
			ids = append(ids, s.SuggestionID)
		}
		return ids
	}
	if got := shown(); len(got) != 0 {
		t.Errorf("before there was any: %v", got)
	}
	ann, ben := wire.SuggestionSubject{Account: "max"}, wire.SuggestionSubject{Account: "pro"}
	const at = wire.Time(1_780_387_200_000)
	list := wire.NoSuggestions("acme", at)
	for id, subject := range map[string]wire.SuggestionSubject{"a1": ann, "b2": ben} {
		list.Suggestions = append(list.Suggestions, wire.Suggestion{
			SuggestionID: id, Rule: "plan_size", Subject: subject, WindowStartsAt: at, WindowEndsAt: at, MadeAt: at,
		})
	}
	put(wire.SuggestionsKey, &list)
	if got := shown(); len(got) != 2 {
		t.Errorf("nothing is dismissed, and %v are shown", got)
	}
	put(wire.DismissalsKey, wire.SuggestionDismissals{Dismissed: []wire.SuggestionDismissal{{SuggestionID: "a0", Rule: "plan_size", Subject: ann, At: at}}})
	if got := shown(); len(got) != 1 || got[0] != "b2" {
		t.Errorf("shown are %v, want b2", got)
	}
}
