package importer

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// books records reports by the rules of the state machine.
type books struct {
	t       *testing.T
	state   *quota.State
	prices  quota.Prices
	failing atomic.Bool
	failed  atomic.Int64
	items   []wire.UsageItem
}

func newBooks(t *testing.T) *books {
	t.Helper()
	prices, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	b := &books{t: t, state: quota.NewState(), prices: prices}
	b.do(quota.ApplyConfig{Config: quota.Config{
		Providers: []quota.Provider{{Name: "claude"}, {Name: "openai"}},
		Accounts:  []quota.Account{{ID: "acc", Provider: "claude", Kind: quota.KindAPI}},
		Unlisted:  &quota.Principal{Team: "core"},
		Policy:    quota.DefaultPolicy(),
	}})
	return b
}

func (b *books) do(c quota.Command) quota.Result {
	events, result := quota.Decide(b.state, c, quota.Env{Now: quota.InstantOf(time.Now()), Prices: b.prices})
	for _, e := range events {
		quota.Apply(b.state, e)
	}
	return result
}

func (b *books) Report(_ context.Context, r wire.ReportRequest) (*wire.ReservationReply, error) {
	b.items = append(b.items, r.Usage...)
	result := b.do(r.Command(quota.Actor{Principal: "ann", Agent: "import"}, ""))
	if b.failing.Load() {
		b.failed.Add(1)
		return nil, fmt.Errorf("the answer is lost: %w", wire.ErrUnavailable)
	}
	if !result.OK() {
		return nil, wire.ErrorOfResult(&result, false)
	}
	return &wire.ReservationReply{}, nil
}

// tokens are what the books hold.
func (b *books) tokens() int64 { return b.state.Totals().Used }

func newImporter(t *testing.T, b *books, program string, places ...string) *Importer {
	t.Helper()
	memory, err := OpenMemory(filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	for _, source := range Sources() {
		if source.Name == program {
			return &Importer{Source: source, Places: places, Account: "acc", Memory: memory, Reporter: b, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
		}
	}
	t.Fatalf("no source %s", program)
	return nil
}

func run(t *testing.T, i *Importer) Summary {
	t.Helper()
	sum, err := i.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func write(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// said is a line of a Claude Code transcript.
func said(message, request string, input, output int, more string) string {
	return fmt.Sprintf(`{"type":"assistant","timestamp":"2026-11-20T10:00:00.000Z","sessionId":"s1","cwd":"/src/shop"%s,"requestId":%q,`+
		`"message":{"id":%q,"role":"assistant","model":"claude-sonnet-4-5","usage":{"input_tokens":%d,"output_tokens":%d}}}`, more, request, message, input, output)
}

func TestClaudeCodeCallsCountOnce(t *testing.T) {
	t.Parallel()
	const side = `,"isSidechain":true`
	main := []string{
		`{"type":"user","message":{"role":"user","content":"hi"}}`,
		said("m1", "r1", 100, 1, ""), // a placeholder for the output
		said("m1", "r1", 100, 50, ""),
		said("m2", "r2", 10, 5, ""),
		said("", "r3", 3, 4, ""), // no message id: each counts
		said("", "r3", 3, 4, ""),
		said("m4", "r4", 1000, 0, ""),
		said("m5", "r4", 2000, 0, ""), // one request id with two messages
		`{"type":"assistant","message":{"model":"<synthetic>","usage":{"input_tokens":9,"output_tokens":9}}}`,
		`{"type":"assistant", broken`,
		`["not an object"]`,
	}
	const want = 150 + 15 + 14 + 3000
	copied := []string{said("m1", "r1", 100, 50, ""), said("m2", "r9", 10, 5, side), said("m6", "r6", 1, 1, "")}

	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		b, folder := newBooks(t), t.TempDir()
		write(t, filepath.Join(folder, "p1", "a.jsonl"), main...)
		i := newImporter(t, b, "claude-code", folder)
		sum := run(t, i)
		if b.tokens() != want || sum.Tokens != want || sum.Calls != 6 || sum.Repeated != 1 || sum.Malformed != 2 || sum.Synthetic != 1 || sum.Other != 1 {
			t.Errorf("%d tokens, %+v", b.tokens(), sum)
		}
		if again := run(t, i); again.Calls != 0 || again.Read != 0 {
			t.Errorf("again: %+v", again)
		}
		lost := newImporter(t, b, "claude-code", folder) // with another memory
		run(t, lost)
		if b.tokens() != want {
			t.Errorf("%d tokens after the memory was lost, want %d", b.tokens(), want)
		}
		if e := b.items[0]; e.Source != "transcript:claude-code" || e.Session != "s1" || e.Project != "/src/shop" || e.CallID != "r1" {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("copies", func(t *testing.T) {
		t.Parallel()
		b, folder := newBooks(t), t.TempDir()
		write(t, filepath.Join(folder, "p1", "a.jsonl"), main...)
		write(t, filepath.Join(folder, "p1", "a", "subagents", "agent-1.jsonl"), copied...)
		run(t, newImporter(t, b, "claude-code", folder))
		if b.tokens() != want+2 {
			t.Errorf("%d tokens, want %d", b.tokens(), want+2)
		}
	})
	t.Run("in pieces", func(t *testing.T) {
		t.Parallel()
		b, file := newBooks(t), filepath.Join(t.TempDir(), "a.jsonl")
		i := newImporter(t, b, "claude-code", file)
		text := strings.Join(main, "\n") + "\n"
		for end := 0; end < len(text); end += 97 { // in the middle of lines
			write(t, file, text[:end])
			run(t, i)
		}
		write(t, file, text)
		run(t, i)
		if b.tokens() != want {
			t.Errorf("%d tokens, want %d", b.tokens(), want)
		}
	})
	t.Run("another file of the same name", func(t *testing.T) {
		t.Parallel()
		b, file := newBooks(t), filepath.Join(t.TempDir(), "a.jsonl")
		i := newImporter(t, b, "claude-code", file)
		write(t, file, said("m1", "r1", 100, 0, ""), "")
		run(t, i)
		write(t, file, said("m2", "r2", 20, 0, ""), said("m3", "r3", 3, 0, ""))
		run(t, i)
		if b.tokens() != 123 {
			t.Errorf("%d tokens, want 123", b.tokens())
		}
	})
	t.Run("odd texts", func(t *testing.T) {
		t.Parallel()
		b, file := newBooks(t), filepath.Join(t.TempDir(), "a.jsonl")
		write(t, file, said(strings.Repeat("m", 300), "", 7, 0, `,"version":"1"`),
			strings.Replace(said("m2", "r2", 3, 0, ""), "/src/shop", "/"+strings.Repeat("\u00e9", 200), 1),
			strings.Replace(said("m3", "r3", 2, 0, ""), "2026-11-20T10", "0001-01-01T10", 1))
		run(t, newImporter(t, b, "claude-code", file))
		if b.tokens() != 12 {
			t.Errorf("%d tokens, want 12", b.tokens())
		}
		for _, item := range b.items {
			if len(item.Project) > wire.MaxTextBytes || len(item.CallID) > wire.MaxTextBytes || !utf8.ValidString(item.Project) || item.OccurredAt <= 0 {
				t.Errorf("got %+v", item)
			}
		}
	})
	t.Run("answers are lost", func(t *testing.T) {
		t.Parallel()
		b, file := newBooks(t), filepath.Join(t.TempDir(), "a.jsonl")
		write(t, file, main...)
		i := newImporter(t, b, "claude-code", file)
		b.failing.Store(true)
		if _, err := i.Run(t.Context()); err == nil {
			t.Fatal("no error")
		}
		b.failing.Store(false)
		run(t, i)
		if b.tokens() != want {
			t.Errorf("%d tokens, want %d", b.tokens(), want)
		}
	})
}

func TestCodexSessions(t *testing.T) {
	t.Parallel()
	count := func(at string, last, total string) string {
		info := `"total_token_usage":` + total
		if last != "" {
			info += `,"last_token_usage":` + last
		}
		return `{"timestamp":"2026-11-20T10:00:` + at + `Z","type":"event_msg","payload":{"type":"token_count","info":{` + info + `}}}`
	}
	usage := func(input, cached, output int) string {
		return fmt.Sprintf(`{"input_tokens":%d,"cached_input_tokens":%d,"output_tokens":%d}`, input, cached, output)
	}
	lines := []string{
		`{"timestamp":"2026-11-20T09:59:59Z","type":"session_meta","payload":{"id":"c1","cwd":"/src/shop"}}`,
		`{"timestamp":"2026-11-20T10:00:00Z","type":"turn_context","payload":{"model":"gpt-5.2-codex"}}`,
		`{"timestamp":"2026-11-20T10:00:00Z","type":"event_msg","payload":{"type":"token_count","info":null}}`,
		count("01", usage(100, 40, 10), usage(100, 40, 10)),
		count("02", usage(100, 40, 10), usage(100, 40, 10)), // told again
		count("03", "", usage(150, 50, 20)),                 // only the total
		count("04", "", usage(30, 0, 5)),                    // counted anew
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "sessions", "2026", "11", "20", "rollout-1.jsonl"), lines...)
	write(t, filepath.Join(root, "archived_sessions", "2026", "11", "20", "rollout-1.jsonl"), lines...)
	b := newBooks(t)
	i := newImporter(t, b, "codex", filepath.Join(root, "sessions"), filepath.Join(root, "archived_sessions"))
	sum := run(t, i)
	if b.tokens() != 110+60+35 || sum.Calls != 3 {
		t.Fatalf("%d tokens, %+v", b.tokens(), sum)
	}
	if e := b.items[0]; e.Model != "gpt-5.2-codex" || e.Project != "/src/shop" || e.Session != "c1" || e.Tokens.Input != 60 || e.Tokens.CacheRead != 40 {
		t.Errorf("got %+v", e)
	}
	if run(t, i); b.tokens() != 205 {
		t.Errorf("%d tokens after a second import", b.tokens())
	}
}

func TestFollowReadsOn(t *testing.T) {
	t.Parallel()
	b, file := newBooks(t), filepath.Join(t.TempDir(), "a.jsonl")
	write(t, file, said("m1", "r1", 100, 0, ""), "")
	i := newImporter(t, b, "claude-code", file)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan Summary)
	done := make(chan error, 1)
	go func() { done <- i.Follow(ctx, func(s Summary) { told <- s }) }()
	if s := <-told; s.Tokens != 100 {
		t.Errorf("got %+v", s)
	}
	b.failing.Store(true)
	write(t, file, said("m1", "r1", 100, 0, ""), said("m2", "r2", 7, 0, ""), "")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for b.failed.Load() == 0 { // the broker is away, and comes back
		<-tick.C
	}
	b.failing.Store(false)
	if s := <-told; s.Tokens != 7 {
		t.Errorf("got %+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// onceAway is a broker that is away once when a call is reported.
type onceAway struct {
	Reporter
	call string
	away bool
}

func (o *onceAway) Report(ctx context.Context, r wire.ReportRequest) (*wire.ReservationReply, error) {
	if r.Usage[0].CallID == o.call && !o.away {
		o.away = true
		return nil, wire.ErrUnavailable
	}
	return o.Reporter.Report(ctx, r)
}

// TestFollowTellsOfRunsThatWereCutOff: what a run brought before the broker went away is told, since no later run tells it.
func TestFollowTellsOfRunsThatWereCutOff(t *testing.T) {
	t.Parallel()
	b, folder := newBooks(t), t.TempDir()
	for n, file := range []string{"a.jsonl", "b.jsonl"} {
		path := filepath.Join(folder, file)
		write(t, path, said(fmt.Sprint("m", n), fmt.Sprint("r", n), 100, 0, ""), "")
		at := time.Now().Add(time.Duration(n-10) * time.Minute)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	i := newImporter(t, b, "claude-code", folder)
	i.Reporter = &onceAway{Reporter: b, call: "r1"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	err := i.Follow(ctx, func(s Summary) {
		if calls += s.Calls; i.Reporter.(*onceAway).away && b.tokens() == 200 {
			cancel()
		}
	})
	if err != nil || calls != 2 {
		t.Errorf("told of %d calls, want 2, %v", calls, err)
	}
}

func TestDefaultFolders(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	env := map[string]string{}
	getenv := func(name string) string { return env[name] }
	claude, codex := Sources()[0], Sources()[1]
	if _, err := claude.Folders(getenv); err == nil || !strings.Contains(err.Error(), filepath.Join(home, ".claude", "projects")) {
		t.Errorf("got %v", err)
	}
	for _, folder := range []string{".claude/projects", ".codex/sessions", "other/projects"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	found := func(s Source) string {
		folders, err := s.Folders(getenv)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(folders, " ")
	}
	if got, want := found(claude)+" "+found(codex), filepath.Join(home, ".claude/projects")+" "+filepath.Join(home, ".codex/sessions"); got != want {
		t.Errorf("got %s", got)
	}
	maps.Copy(env, map[string]string{"CLAUDE_CONFIG_DIR": "/none, " + filepath.Join(home, "other"), "CODEX_HOME": filepath.Join(home, ".codex")})
	if got := found(claude); got != filepath.Join(home, "other/projects") {
		t.Errorf("got %s", got)
	}
}

// A folder of logs may be kept elsewhere and linked to, as people do with their settings.
func TestALinkedFolderIsRead(t *testing.T) {
	t.Parallel()
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "projects")
	line := `{"type":"assistant","timestamp":"2026-01-05T10:00:00Z","requestId":"r","message":{"id":"m","model":"claude-sonnet-4-5","usage":{"input_tokens":7}}}` + "\n"
	if err := os.WriteFile(filepath.Join(folder, "s.jsonl"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, link); err != nil {
		t.Fatal(err)
	}
	i := newImporter(t, newBooks(t), "claude-code", link, folder)
	if sum := run(t, i); sum.Files != 1 || sum.Calls != 1 {
		t.Errorf("the linked folder gives %+v", sum)
	}
}
