package price

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bursarhq/bursar/pkg/quota"
)

func builtIn(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(t testing.TB, day string) quota.Instant {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, day)
	if err != nil {
		t.Fatal(err)
	}
	return quota.InstantOf(parsed)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	const before, after = "2026-08-31T23:59:59.999Z", "2026-09-01T00:00:00Z"
	sonnet5Early := quota.Rate{Input: 2_000_000, Output: 10_000_000, CacheRead: 200_000, CacheWrite5m: 2_500_000, CacheWrite1h: 4_000_000}
	sonnet5Late := quota.Rate{Input: 3_000_000, Output: 15_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000}
	opus4 := quota.Rate{Input: 15_000_000, Output: 75_000_000, CacheRead: 1_500_000, CacheWrite5m: 18_750_000, CacheWrite1h: 30_000_000}
	long := quota.Rate{Input: 6_000_000, Output: 22_500_000, CacheRead: 600_000, CacheWrite5m: 7_500_000, CacheWrite1h: 12_000_000}
	for _, row := range []struct {
		name  string
		query Query
		at    string
		want  quota.Rate
		ok    bool
	}{
		{"last millisecond of a period", Query{Model: "claude-sonnet-5"}, before, sonnet5Early, true},
		{"first millisecond of the next", Query{Model: "claude-sonnet-5"}, after, sonnet5Late, true},
		{"dated snapshot", Query{Model: "claude-sonnet-4-5-20250929"}, after, sonnet5Late, true},
		{"unknown snapshot of a known family", Query{Model: "claude-sonnet-5-20261224"}, after, sonnet5Late, true},
		{"dashed date", Query{Model: "gpt-5-2025-08-07"}, after, quota.Rate{Input: 1_250_000, Output: 10_000_000, CacheRead: 125_000, CacheWrite5m: 1_250_000, CacheWrite1h: 1_250_000}, true},
		{"a snapshot with a price of its own", Query{Model: "gpt-4o-2024-05-13"}, after, quota.Rate{Input: 5_000_000, Output: 15_000_000, CacheRead: 5_000_000, CacheWrite5m: 5_000_000, CacheWrite1h: 5_000_000}, true},
		{"provider prefix and capitals", Query{Model: "Anthropic/Claude-Opus-4-20250514"}, after, opus4, true},
		{"second name", Query{Model: "claude-4-opus-20250514"}, after, opus4, true},
		{"latest", Query{Model: "claude-opus-4-0-latest"}, after, opus4, true},
		{"context marker", Query{Model: "claude-sonnet-4-5[1m]", InputTokens: 200_000}, after, sonnet5Late, true},
		{"long context", Query{Model: "claude-sonnet-4-5[1m]", InputTokens: 200_001}, after, long, true},
		{"batch", Query{Model: "claude-sonnet-5", Batch: true}, after, quota.Rate{Input: 1_500_000, Output: 7_500_000, CacheRead: 150_000, CacheWrite5m: 1_875_000, CacheWrite1h: 3_000_000}, true},
		{"batch and long context", Query{Model: "claude-sonnet-4", InputTokens: 300_000, Batch: true}, after, quota.Rate{Input: 3_000_000, Output: 11_250_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000}, true},
		{"batch without a published price", Query{Model: "gpt-5", Batch: true}, after, quota.Rate{}, false},
		{"unknown", Query{Model: "llama-3"}, after, quota.Rate{}, false},
		{"empty", Query{}, after, quota.Rate{}, false},
		{"a reseller's name", Query{Model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0"}, after, quota.Rate{}, false},
		{"longer than a model", Query{Model: "gpt-5-2025-08-07-x"}, after, quota.Rate{}, false},
		{"only a date", Query{Model: "-20250514"}, after, quota.Rate{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.query.At = at(t, row.at)
			got, ok := c.Lookup(row.query)
			if got != row.want || ok != row.ok {
				t.Fatalf("got %+v, %v; want %+v, %v", got, ok, row.want, row.ok)
			}
		})
	}
}

// Facts that hold of every built-in row: nothing is free, a cache read is never dearer than input, and a cost that a
// person can compute in the head comes out.
func TestBuiltInFigures(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	if len(c.Models()) < 45 {
		t.Fatalf("only %d models", len(c.Models()))
	}
	for _, model := range c.Models() {
		for _, e := range c.Entries(model) {
			r := e.Rate
			if r.Input <= 0 || r.Output < r.Input || r.CacheRead <= 0 || r.CacheRead > r.Input || r.CacheWrite5m < r.Input || r.CacheWrite1h < r.CacheWrite5m {
				t.Errorf("%s: implausible %+v", e.describe(), r)
			}
			if e.Provider != "claude" && e.Provider != "openai" {
				t.Errorf("%s: provider %q", e.describe(), e.Provider)
			}
			if e.BatchPermille != 0 && e.BatchPermille != 500 {
				t.Errorf("%s: batch %d", e.describe(), e.BatchPermille)
			}
		}
	}
	rate, _ := c.Rate("claude-haiku-4-5-20251001", at(t, "2026-07-24T00:00:00Z"), false)
	if cost := rate.Cost(quota.Tokens{Input: 1_000_000, Output: 200_000, CacheRead: 10_000_000}); cost != 3_000_000 {
		t.Errorf("1 M in, 0.2 M out and 10 M cached of Haiku 4.5 cost %d micro-USD, want 3,000,000", cost)
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	good := quota.Rate{Input: 1, Output: 1, CacheRead: 1, CacheWrite5m: 1, CacheWrite1h: 1}
	err := Validate([]Entry{
		{Model: "overlap", To: 20, Rate: good},
		{Model: "overlap", From: 10, Rate: good},
		{Model: "double", Rate: good},
		{Model: "double", Rate: good},
		{Model: "gap", To: 10, Rate: good},
		{Model: "gap", From: 20, Rate: good},
		{Model: "negative", Rate: quota.Rate{Output: -1}},
		{Model: "dear", Rate: quota.Rate{Input: quota.MaxRate + 1}},
		{Model: "backwards", From: 20, To: 10, Rate: good},
		{Model: "Capital", Rate: good},
		{Model: "", Rate: good},
		{Model: "tier", AboveInput: 5, Rate: good},
		{Model: "batch", BatchPermille: 1001, Rate: good},
		{Model: "fine", To: 10, Rate: good},
		{Model: "fine", From: 10, Rate: good},
		{Model: "fine", AboveInput: 7, Rate: good},
	}, map[string]string{"fine": "gap", "lost": "nowhere", "f": "fine"})
	for name, want := range map[string]error{
		"ErrOverlap": ErrOverlap, "ErrGap": ErrGap, "ErrPrice": ErrPrice, "ErrPeriod": ErrPeriod,
		"ErrName": ErrName, "ErrNoBase": ErrNoBase, "ErrBatch": ErrBatch, "ErrAlias": ErrAlias,
	} {
		if !errors.Is(err, want) {
			t.Errorf("%s is missing in: %v", name, err)
		}
	}
	const faults = 12
	if lines := strings.Count(err.Error(), "\n") + 1; lines != faults {
		t.Errorf("%d faults, want %d:\n%v", lines, faults, err)
	}
	if strings.Contains(err.Error(), "fine from") {
		t.Errorf("a good model is blamed: %v", err)
	}
	if _, err := New([]Entry{{Model: "x", Rate: quota.Rate{Input: -1}}}, nil); !errors.Is(err, ErrPrice) {
		t.Errorf("New let a negative price pass: %v", err)
	}
}

func TestReadEntriesReportsEveryLine(t *testing.T) {
	t.Parallel()
	header := strings.Join(columns[:], ",") + "\n"
	for _, row := range []struct{ name, file, want string }{
		{"empty", "", "no header"},
		{"other header", strings.Replace(header, "model", "name", 1), `column 2 is "name"`},
		{"short row", header + "claude,x\n", "wrong number of fields"},
		{"bad cells", "# a comment\n" + header + "claude,x,1.9.2026,,0,1,1,1,1,1,\nclaude,y,,,0,1.5,1,1,1,1,\n", "line 4"},
		{"bad day", header + "claude,x,1.9.2026,,0,1,1,1,1,1,\n", `valid_from is "1.9.2026"`},
		{"fraction", header + "claude,x,,,0,1.5,1,1,1,1,\n", `input is "1.5"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if _, err := ReadEntries(strings.NewReader(row.file)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("got %v, want an ErrFormat with %q", err, row.want)
			}
		})
	}
	if _, err := readAliases(strings.NewReader("alias,model\na,b\na,c\n")); !errors.Is(err, ErrFormat) {
		t.Errorf("a repeated alias passed: %v", err)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	contract := quota.Rate{Input: 100, Output: 200, CacheRead: 10, CacheWrite5m: 120, CacheWrite1h: 150}
	later := quota.Rate{Input: 111, Output: 222, CacheRead: 11, CacheWrite5m: 122, CacheWrite1h: 155}
	switchover, second := at(t, "2026-10-01T00:00:00Z"), at(t, "2026-11-01T00:00:00Z")
	made, err := c.WithOverrides([]quota.PriceOverride{
		{Model: "claude-sonnet-5", From: second, Rate: later},
		{Model: "claude-sonnet-5", From: switchover, Rate: contract},
		{Model: "claude-sonnet-4-5", Rate: contract},
		{Model: "anthropic/Claude-4-Sonnet", Rate: later},
		{Model: "house-model", Rate: quota.Rate{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ordinary := quota.Rate{Input: 3_000_000, Output: 15_000_000, CacheRead: 300_000, CacheWrite5m: 3_750_000, CacheWrite1h: 6_000_000}
	for _, row := range []struct {
		name  string
		query Query
		want  quota.Rate
		ok    bool
	}{
		{"before the first override", Query{Model: "claude-sonnet-5", At: switchover - 1}, ordinary, true},
		{"from it on", Query{Model: "claude-sonnet-5", At: switchover}, contract, true},
		{"until the next", Query{Model: "claude-sonnet-5", At: second - 1}, contract, true},
		{"after the next", Query{Model: "claude-sonnet-5", At: second}, later, true},
		{"always", Query{Model: "claude-sonnet-4-5-20250929", At: 1}, contract, true},
		{"no surcharge any more", Query{Model: "claude-sonnet-4-5", At: 1, InputTokens: 300_000}, contract, true},
		{"the discount stays", Query{Model: "claude-sonnet-4-5", At: 1, Batch: true}, quota.Rate{Input: 50, Output: 100, CacheRead: 5, CacheWrite5m: 60, CacheWrite1h: 75}, true},
		{"a second name with a price of its own", Query{Model: "claude-4-sonnet", At: 1}, later, true},
		{"its model keeps the old one", Query{Model: "claude-sonnet-4", At: 1}, ordinary, true},
		{"a house model is free when told so", Query{Model: "house-model", At: 1}, quota.Rate{}, true},
		{"but has no batch price", Query{Model: "house-model", At: 1, Batch: true}, quota.Rate{}, false},
		{"the rest is untouched", Query{Model: "claude-sonnet-4-6", At: 1}, ordinary, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got, ok := made.Lookup(row.query); got != row.want || ok != row.ok {
				t.Fatalf("got %+v, %v; want %+v, %v", got, ok, row.want, row.ok)
			}
		})
	}
	if got, _ := c.Rate("claude-sonnet-4-5", 1, false); got != ordinary {
		t.Errorf("the receiver changed: %+v", got)
	}
	for name, bad := range map[string][]quota.PriceOverride{
		"negative": {{Model: "x", Rate: quota.Rate{Input: -5}}},
		"twice":    {{Model: "x", Rate: contract}, {Model: "X", Rate: later}},
		"nameless": {{Rate: contract}},
	} {
		if _, err := c.WithOverrides(bad); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

// For every model and time, the price is that of the only entry that covers it, and more input is never cheaper.
func TestLookupProperties(t *testing.T) {
	t.Parallel()
	c := builtIn(t)
	models := c.Models()
	rapid.Check(t, func(t *rapid.T) {
		q := Query{
			Model:       rapid.SampledFrom(models).Draw(t, "model"),
			At:          quota.Instant(rapid.Int64Range(0, 4e12).Draw(t, "at")),
			InputTokens: rapid.Int64Range(0, 2_000_000).Draw(t, "input"),
			Batch:       rapid.Bool().Draw(t, "batch"),
		}
		got, ok := c.Lookup(q)
		full := q
		full.Batch = false
		whole, priced := c.Lookup(full)
		if !priced || q.Batch && ok && (got.Input*2 != whole.Input || got.Output*2 != whole.Output) {
			t.Fatalf("%+v: %+v, %v; without batch %+v, %v", q, got, ok, whole, priced)
		}
		less := full
		less.InputTokens /= 2
		if cheaper, _ := c.Lookup(less); cheaper.Input > whole.Input || cheaper.Output > whole.Output {
			t.Fatalf("%+v is dearer than %+v", less, full)
		}
	})
}

func FuzzResolve(f *testing.F) {
	for _, name := range []string{"claude-sonnet-4-5-20250929", "openai/gpt-5-2025-08-07", "CLAUDE-OPUS-4[1m]", "-latest", "", "gpt-4o-latest-latest", "é-20250101"} {
		f.Add(name)
	}
	c := builtIn(f)
	f.Fuzz(func(t *testing.T, name string) {
		model, ok := c.Resolve(name)
		if !ok {
			return
		}
		if again, ok := c.Resolve(model); !ok || again != model {
			t.Fatalf("%q resolves to %q, which resolves to %q, %v", name, model, again, ok)
		}
		if _, ok := c.Rate(name, 1, false); !ok {
			t.Fatalf("%q resolves to %q but has no price", name, model)
		}
	})
}

func FuzzReadEntries(f *testing.F) {
	f.Add(string(pricesCSV))
	f.Add(strings.Join(columns[:], ",") + "\nclaude,x,2026-01-01,,0,1,1,1,1,1,500\n")
	f.Fuzz(func(t *testing.T, file string) {
		entries, err := ReadEntries(strings.NewReader(file))
		if err == nil {
			_ = Validate(entries, nil) // must not panic
		}
	})
}

func BenchmarkRateOfSnapshot(b *testing.B) {
	c := builtIn(b)
	for b.Loop() {
		if _, ok := c.Rate("claude-sonnet-4-5-20250929", 1_780_000_000_000, false); !ok {
			b.Fatal("unknown")
		}
	}
}
