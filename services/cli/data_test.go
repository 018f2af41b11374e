//go:build testdata

package cli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/realdata"
	"github.com/bursarhq/bursar/services/cli/internal/replay"
)

// ample is a configuration in which nothing binds, so that every row is granted.
const ample = `version: 1
teams: [all]
accounts:
  - {id: openai, provider: openai, kind: api}
  - {id: claude, provider: claude, kind: api}
principals:
  - {name: replayer, team: all}
  - {name: operator, admin: true}
`

// TestRealTraces replays production traces and a real transcript. What ClickHouse holds of each must be what the file
// says, class by class; the files are added up here by other code than the one that replays them.
func TestRealTraces(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "ample.yaml")
	if err := os.WriteFile(config, []byte(ample), 0o600); err != nil {
		t.Fatal(err)
	}
	i := up(t, t.TempDir(), "--config", config)
	traces := []struct {
		name, format, task string // the task tells the traces apart in ClickHouse
		file               []string
		sum                func(*testing.T, string) (rows int64, tokens quota.Tokens)
	}{
		{"azure code", "azure", "code_generation", []string{"traces", "azure", "AzureLLMInferenceTrace_code.dev.csv"}, sumAzure},
		{"azure chat", "azure", "quick_query", []string{"traces", "azure", "AzureLLMInferenceTrace_conv.dev.csv"}, sumAzure},
		{"mooncake chat", "mooncake", "analysis", []string{"traces", "mooncake", "conversation_trace.dev.jsonl"}, sumMooncake},
		{"mooncake synthetic", "mooncake", "documentation", []string{"traces", "mooncake", "synthetic_trace.dev.jsonl"}, sumMooncake},
		{"claude code", "claude-code", "code_review", []string{"transcripts", "tracelab", "claude_session.jsonl"}, sumTranscript},
	}
	for _, tr := range traces {
		file := realdata.Path(t, tr.file...)
		rows, want := tr.sum(t, file)
		s := ask[replay.Summary](i, "replay", "--format", tr.format, "--task", tr.task, "--agents", "64", file)
		if s.Requests != rows || s.Settled != rows || len(s.Denied) != 0 || s.UsedTokens != want.Total() {
			t.Errorf("%s: %+v, want %d rows and %d tokens", tr.name, s, rows, want.Total())
		}
		if s.ReservedTokens+s.OverrunTokens != s.UsedTokens+s.ReturnedTokens {
			t.Errorf("%s: %d reserved + %d overrun is not %d used + %d returned", tr.name, s.ReservedTokens, s.OverrunTokens, s.UsedTokens, s.ReturnedTokens)
		}
		if doc := ask[verifyDocument](i, "verify"); !doc.OK {
			t.Errorf("%s: %+v", tr.name, doc)
		}
		if calls, got := i.stored(tr.task); calls != uint64(rows) || got != want {
			t.Errorf("%s: ClickHouse has %d calls and %+v, want %d and %+v", tr.name, calls, got, rows, want)
		}
	}
	i.readersRules()
}

// stored adds up in SQL what ClickHouse has of the usage of a task.
func (i *instance) stored(task string) (calls uint64, t quota.Tokens) {
	i.t.Helper()
	const query = "SELECT count(), sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens), sum(output_tokens)" +
		" FROM bursar.ledger_events FINAL WHERE kind = 'usage.recorded' AND task_type = ?"
	row := i.clickhouse().QueryRow(i.t.Context(), query, task)
	if err := row.Scan(&calls, &t.Input, &t.CacheRead, &t.CacheWrite5m, &t.CacheWrite1h, &t.Output); err != nil {
		i.t.Fatal(err)
	}
	return calls, t
}

// readersRules replays transcripts with every oddity, and one of them twice: its calls count once.
func (i *instance) readersRules() {
	i.t.Helper()
	segment := realdata.Path(i.t, "transcripts", "tracelab", "claude_session.jsonl")
	_, before := i.stored("code_review")
	ask[replay.Summary](i, "replay", "--format", "claude-code", "--task", "code_review", segment)
	if doc := ask[verifyDocument](i, "verify"); !doc.OK {
		i.t.Errorf("after a repeated transcript: %+v", doc)
	}
	if _, after := i.stored("code_review"); after != before {
		i.t.Errorf("the same transcript again changed the sums from %+v to %+v", before, after)
	}
	for _, name := range []string{"edge_cases.jsonl", "session_b.jsonl", "representative_messages.jsonl", "todowrite_examples.jsonl"} {
		s := ask[replay.Summary](i, "replay", "--format", "claude-code", realdata.Path(i.t, "transcripts", "claude-code-log", name))
		if s.Requests == 0 || s.Settled != s.Requests {
			i.t.Errorf("%s: %+v", name, s)
		}
	}
}

func sumAzure(t *testing.T, file string) (rows int64, sum quota.Tokens) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	records, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[1:] {
		sum.Input += number(t, json.Number(r[1]))
		sum.Output += number(t, json.Number(r[2]))
		rows++
	}
	return rows, sum
}

func sumMooncake(t *testing.T, file string) (rows int64, sum quota.Tokens) {
	t.Helper()
	eachObject(t, file, func(o map[string]any) {
		sum.Input += number(t, o["input_length"].(json.Number))
		sum.Output += number(t, o["output_length"].(json.Number))
		rows++
	})
	return rows, sum
}

// sumTranscript keeps the last line of each message: in this file the last one tells most.
func sumTranscript(t *testing.T, file string) (rows int64, sum quota.Tokens) {
	t.Helper()
	last := map[string]map[string]any{}
	eachObject(t, file, func(o map[string]any) {
		message, _ := o["message"].(map[string]any)
		if usage, ok := message["usage"].(map[string]any); ok && o["type"] == "assistant" {
			last[message["id"].(string)] = usage
		}
	})
	for _, u := range last {
		written := u["cache_creation"].(map[string]any)
		sum.Input += number(t, u["input_tokens"].(json.Number))
		sum.CacheRead += number(t, u["cache_read_input_tokens"].(json.Number))
		sum.CacheWrite5m += number(t, written["ephemeral_5m_input_tokens"].(json.Number))
		sum.CacheWrite1h += number(t, written["ephemeral_1h_input_tokens"].(json.Number))
		sum.Output += number(t, u["output_tokens"].(json.Number))
	}
	return int64(len(last)), sum
}

func eachObject(t *testing.T, file string, do func(map[string]any)) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.UseNumber()
		var o map[string]any
		if err := decoder.Decode(&o); err != nil {
			t.Fatal(err)
		}
		do(o)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, n json.Number) int64 {
	t.Helper()
	whole, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return whole
}
