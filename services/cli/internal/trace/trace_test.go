package trace

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

func TestReadTables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		format Format
		text   string
		want   []Call
		fault  string // part of the error; empty for none
	}{
		{
			"azure, out of order", Azure,
			"TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:04.1206440,7433,14\r\n2023-11-16 18:17:03.9799600,4808,10\r\n",
			[]Call{
				{At: time.Date(2023, 11, 16, 18, 17, 3, 979960000, time.UTC), Tokens: quota.Tokens{Input: 4808, Output: 10}},
				{At: time.Date(2023, 11, 16, 18, 17, 4, 120644000, time.UTC), Tokens: quota.Tokens{Input: 7433, Output: 14}},
			}, "",
		},
		{"azure without a header", Azure, "2023-11-16 18:17:04.1206440,7433,14\n", nil, "header"},
		{"azure, empty", Azure, "", nil, "header"},
		{"azure with a bad number", Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:04,x,14\n", nil, `line 2: ContextTokens "x"`},
		{"azure with a negative number", Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:04,1,-1\n", nil, "GeneratedTokens is -1"},
		{"azure with a bad time", Azure, "TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,1,1\n", nil, "TIMESTAMP"},
		{
			"mooncake", Mooncake,
			`{"timestamp": 27, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}` + "\n\n" + `{"timestamp": 0, "input_length": 1, "output_length": 0}`,
			[]Call{
				{At: time.UnixMilli(0).UTC(), Tokens: quota.Tokens{Input: 1}},
				{At: time.UnixMilli(27).UTC(), Tokens: quota.Tokens{Input: 6758, Output: 500}},
			}, "",
		},
		{"mooncake, another file", Mooncake, "{}\n", nil, "line 1: timestamp"},
		{"mooncake, negative", Mooncake, `{"timestamp": 0, "input_length": -1, "output_length": 0}`, nil, "input_length is -1"},
		{"mooncake, broken", Mooncake, `{"timestamp": 0,`, nil, "line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Read(tt.format, strings.NewReader(tt.text))
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Fatalf("error %v, want one with %q", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Calls) != len(tt.want) {
				t.Fatalf("%d calls, want %d", len(got.Calls), len(tt.want))
			}
			for i, want := range tt.want {
				if got.Calls[i] != want {
					t.Errorf("call %d is %+v, want %+v", i, got.Calls[i], want)
				}
			}
		})
	}
}

func TestReadTranscripts(t *testing.T) {
	t.Parallel()
	names := []string{filepath.Join("testdata", "session.jsonl"), filepath.Join("testdata", "fork.jsonl")}
	got, err := ReadFiles(t.Context(), ClaudeCode, names, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		id     string
		tokens quota.Tokens
	}{
		{"", quota.Tokens{Input: 11, Output: 13}},
		{"", quota.Tokens{Input: 11, Output: 13}}, // without an id each row counts
		{"r1", quota.Tokens{Input: 100, CacheRead: 1000, CacheWrite5m: 20, CacheWrite1h: 40, Output: 250}},
		{"r3", quota.Tokens{Input: 7, CacheWrite5m: 5, Output: 3}},
	}
	if len(got.Calls) != len(want) {
		t.Fatalf("%d calls, want %d: %+v", len(got.Calls), len(want), got.Calls)
	}
	for i, w := range want {
		if c := got.Calls[i]; c.ID != w.id || c.Tokens != w.tokens {
			t.Errorf("call %d is %q %+v, want %q %+v", i, c.ID, c.Tokens, w.id, w.tokens)
		}
	}
	if want := (Skipped{Malformed: 3, Other: 2, Synthetic: 1, Repeated: 3}); got.Skipped != want {
		t.Errorf("skipped %+v, want %+v", got.Skipped, want)
	}
	if want := (quota.Tokens{Input: 129, CacheRead: 1000, CacheWrite5m: 25, CacheWrite1h: 40, Output: 279}); got.Totals() != want {
		t.Errorf("totals %+v, want %+v", got.Totals(), want)
	}
}

func TestTheMainConversationWinsOverASideOne(t *testing.T) {
	t.Parallel()
	const row = `{"type":"assistant","requestId":"REQ","isSidechain":SIDE,"message":{"id":"m","model":"c","usage":{"output_tokens":OUT}}}`
	line := func(request, side, out string) string {
		return strings.NewReplacer("REQ", request, "SIDE", side, "OUT", out).Replace(row) + "\n"
	}
	tests := []struct {
		name string
		text string
		want []int64 // output tokens
	}{
		{"side first", line("a", "true", "900") + line("b", "false", "5"), []int64{5}},
		{"side last", line("b", "false", "5") + line("a", "true", "900"), []int64{5}},
		{"then more of the main one", line("a", "true", "900") + line("b", "false", "5") + line("b", "false", "7"), []int64{7}},
		{"then the side one again", line("a", "true", "900") + line("b", "false", "5") + line("a", "true", "901"), []int64{5}},
		{"two main ones are two calls", line("a", "false", "1") + line("b", "false", "2"), []int64{1, 2}},
		{"fewer never replaces more", line("a", "false", "8") + line("a", "false", "1"), []int64{8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Read(ClaudeCode, strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var outputs []int64
			for _, c := range got.Calls {
				outputs = append(outputs, c.Tokens.Output)
			}
			if len(outputs) != len(tt.want) {
				t.Fatalf("outputs %v, want %v", outputs, tt.want)
			}
			for i := range outputs {
				if outputs[i] != tt.want[i] {
					t.Fatalf("outputs %v, want %v", outputs, tt.want)
				}
			}
		})
	}
}

func TestCallIDs(t *testing.T) {
	t.Parallel()
	const text = `{"requestId":"r","message":{"id":"a","usage":{"input_tokens":1}}}
{"requestId":"r","message":{"id":"b","usage":{"input_tokens":1}}}
{"requestId":"s","message":{"id":"c","usage":{"input_tokens":1}}}
{"message":{"id":"d","usage":{"input_tokens":1}}}
{"requestId":"t","message":{"usage":{"input_tokens":1}}}`
	got, err := Read(ClaudeCode, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"r/a", "r/b", "s", "d", ""} {
		if got.Calls[i].ID != want {
			t.Errorf("call %d has id %q, want %q", i, got.Calls[i].ID, want)
		}
	}
}

func TestLinesBeyondTheBound(t *testing.T) {
	t.Parallel()
	const good = `{"timestamp": 0, "input_length": 1, "output_length": 0}`
	long := strings.Repeat("x", MaxLineBytes+1)
	if _, err := Read(Mooncake, strings.NewReader(good+"\n"+long+"\n"+good)); err == nil || !strings.Contains(err.Error(), "line 2 is longer") {
		t.Errorf("error %v, want one that names line 2", err)
	}
	got, err := Read(ClaudeCode, strings.NewReader(long+"\n"+`{"message":{"usage":{"input_tokens":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Calls) != 1 || got.Skipped.Malformed != 1 {
		t.Errorf("%d calls and %d malformed, want 1 and 1", len(got.Calls), got.Skipped.Malformed)
	}
}

func TestReadFilesLimitsAndNamesTheFile(t *testing.T) {
	t.Parallel()
	got, err := ReadFiles(t.Context(), ClaudeCode, []string{filepath.Join("testdata", "session.jsonl")}, 1, nil)
	if err != nil || len(got.Calls) != 1 {
		t.Errorf("%d calls, error %v; want the first call", len(got.Calls), err)
	}
	if _, err := ReadFiles(t.Context(), Azure, []string{"no-such-file"}, 0, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that the file does not exist", err)
	}
	stdin := strings.NewReader(`{"timestamp": 0, "input_length": 1, "output_length": 0}`)
	if got, err := ReadFiles(t.Context(), Mooncake, []string{"-"}, 0, stdin); err != nil || len(got.Calls) != 1 {
		t.Errorf("standard input gave %v, %v; want one call", got, err)
	}
}

// fuzzRead checks what holds for any input: no panic, and no call that the ledger would refuse.
func fuzzRead(f *testing.F, format Format) {
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Read(format, strings.NewReader(text))
		if err != nil {
			return
		}
		for _, c := range got.Calls {
			k := c.Tokens
			for _, n := range []int64{k.Input, k.CacheRead, k.CacheWrite5m, k.CacheWrite1h, k.Output} {
				if checkTokens("class", n) != nil {
					t.Fatalf("call %+v is beyond the bounds", c)
				}
			}
		}
	})
}

func FuzzAzure(f *testing.F) {
	f.Add("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n")
	f.Add("TIMESTAMP,ContextTokens,GeneratedTokens\n\"2023-11-16\n18:17:03\",4808,10\n")
	fuzzRead(f, Azure)
}

func FuzzMooncake(f *testing.F) {
	f.Add(`{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}`)
	f.Add(`{"timestamp": 1e3, "input_length": null, "output_length": 9223372036854775807}`)
	fuzzRead(f, Mooncake)
}

func FuzzClaudeCode(f *testing.F) {
	for _, name := range []string{"session.jsonl", "fork.jsonl"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(`{"message":{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":9223372036854775807,"ephemeral_1h_input_tokens":9223372036854775807}}}}`)
	fuzzRead(f, ClaudeCode)
}

// FuzzCodex: a call of a session has classes within the bounds and a name, whatever the lines say.
func FuzzCodex(f *testing.F) {
	f.Add(`{"type":"session_meta","payload":{"id":"s","cwd":"/w"}}
{"type":"turn_context","payload":{"model":"gpt-5.2-codex"}}
{"timestamp":"2026-11-20T10:00:00Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":9,"cached_input_tokens":4,"output_tokens":2}}}}
{"timestamp":"2026-11-20T10:00:01Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":5,"output_tokens":1}}}}`)
	f.Add(`{"type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":-9223372036854775808,"cached_input_tokens":9223372036854775807}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var session Codex
		for line := range strings.SplitSeq(text, "\n") {
			if line == "" {
				continue
			}
			call, reason := session.Line([]byte(line))
			if reason != IsCall {
				continue
			}
			k := call.Tokens
			for _, n := range []int64{k.Input, k.CacheRead, k.CacheWrite5m, k.CacheWrite1h, k.Output} {
				if checkTokens("class", n) != nil {
					t.Fatalf("call %+v is beyond the bounds", call)
				}
			}
			if call.ID == "" || call.Model == "" {
				t.Fatalf("call %+v has no name", call)
			}
		}
	})
}
