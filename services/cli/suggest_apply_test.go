package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/wire"
)

// applyConfig has a limit of which advice says that it should be another one.
const applyConfig = `version: 1
teams: [builders]
accounts:
  - id: spare
    provider: openai
    kind: api
    limits:
      # What was agreed in spring.
      - {name: day, unit: tokens, window: {kind: calendar, period: day}, capacity: 1_000_000}
principals:
  - {name: demo, team: builders}
  - {name: operator, admin: true}
`

// TestApplyingAdviceWithoutAFile wants the change written from the configuration that is in force, when that can be
// found: the file that `bursar up` was given. Once another one was applied, it has to be named.
func TestApplyingAdviceWithoutAFile(t *testing.T) {
	t.Parallel()
	files := t.TempDir()
	file := filepath.Join(files, "team.yaml")
	text := func(capacity string) []byte { return []byte(strings.Replace(applyConfig, "1_000_000", capacity, 1)) }
	if err := os.WriteFile(file, text("1_000_000"), 0o600); err != nil {
		t.Fatal(err)
	}
	i := up(t, t.TempDir(), "--config", file)
	change := wire.SuggestionChange{Kind: "set_capacity", Configurable: true, LimitID: "spare/day", Amount: 2_000_000}
	i.advise(change)

	applied := ask[appliedDocument](i, "suggest", "--apply", "abc")
	suggested := filepath.Join(files, "team.suggested.yaml")
	if applied.File != suggested || len(applied.Removed) != 1 || len(applied.Added) != 1 || !strings.Contains(applied.Added[0], "capacity: 2_000_000") {
		t.Errorf("applied %+v, want one line changed in %s", applied, suggested)
	}
	written, err := os.ReadFile(suggested)
	if err != nil || !strings.Contains(string(written), "# What was agreed in spring.") {
		t.Errorf("the new file, %v: %s", err, written)
	}
	i.do(ExitFailure, "suggest", "--apply", "abc") // the new file is there already
	i.do(ExitOK, "apply", "-f", suggested)
	i.advise(change)

	// The file that it was started with is in force no more, and a change to it would take back what was applied.
	got := bursar(t, i.env, "suggest", "--apply", "abc", "-o", filepath.Join(files, "other.yaml"))
	if got.status != ExitUsage || !strings.Contains(got.stderr, "team.yaml") || !strings.Contains(got.stderr, "-f FILE") {
		t.Errorf("status %d, %s; want the file that is in force asked for", got.status, got.stderr)
	}
	if _, err := os.Stat(filepath.Join(files, "other.yaml")); err == nil {
		t.Error("something was written from a configuration that is not in force")
	}
	got = bursar(t, i.env, "suggest", "--apply", "abc", "-f", file, "-o", filepath.Join(files, "old.yaml"))
	if got.status != ExitOK || !strings.Contains(got.stderr, "not what is in force") {
		t.Errorf("status %d, %s; want a warning of an old file", got.status, got.stderr)
	}
}

// TestApplyingAdviceToTheBuiltInConfiguration wants it written out with the change.
func TestApplyingAdviceToTheBuiltInConfiguration(t *testing.T) {
	t.Parallel()
	i := up(t, t.TempDir())
	change := wire.SuggestionChange{Kind: "set_capacity", Configurable: true, LimitID: "support/day", Amount: 30_000_000}
	i.advise(change)
	output := filepath.Join(t.TempDir(), "new.yaml")
	applied := ask[appliedDocument](i, "suggest", "--apply", "abc", "-o", output)
	if len(applied.Added) != 1 || !strings.Contains(applied.Added[0], "capacity: 30_000_000") {
		t.Errorf("applied %+v", applied)
	}
	i.do(ExitOK, "apply", "-f", output)
	i.advise(change)
	got := bursar(t, i.env, "suggest", "--apply", "abc")
	if got.status != ExitUsage || !strings.Contains(got.stderr, "built-in") {
		t.Errorf("status %d, %s; want the file in force asked for", got.status, got.stderr)
	}
}

// advise gives one piece of advice, as the suggestion service does, once the service has looked at all that there is: it
// would put its own list in the place of this one.
func (i *instance) advise(change wire.SuggestionChange) {
	i.t.Helper()
	nc := i.connect(natsauth.Service(natsauth.RoleSuggestion))
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		i.t.Fatal(err)
	}
	consumer, err := js.Consumer(i.t.Context(), wire.StreamLedger, wire.ConsumerSuggestion)
	if err != nil {
		i.t.Fatal(err)
	}
	for look := time.NewTicker(20 * time.Millisecond); ; <-look.C {
		info, err := consumer.Info(i.t.Context())
		if err != nil {
			i.t.Fatal(err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			break
		}
	}
	bucket, err := js.KeyValue(i.t.Context(), wire.BucketSuggestions)
	if err != nil {
		i.t.Fatal(err)
	}
	key, err := wire.SuggestionsKey(natsauth.DefaultWorkspace)
	if err != nil {
		i.t.Fatal(err)
	}
	now := wireTime(time.Now())
	list := wire.SuggestionList{Workspace: natsauth.DefaultWorkspace, AsOf: now, Suggestions: []wire.Suggestion{{
		SuggestionID: "abcdef", Rule: "limit_raise", Title: "t", Advice: "a", WindowStartsAt: now, WindowEndsAt: now, MadeAt: now, Change: &change,
	}}}
	data, err := json.Marshal(list)
	if err != nil {
		i.t.Fatal(err)
	}
	if _, err := bucket.Put(i.t.Context(), key, data); err != nil {
		i.t.Fatal(err)
	}
}
