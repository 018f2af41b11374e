//go:build testdata

package allocator

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"

	"github.com/bursarhq/bursar/pkg/realdata"
	"github.com/bursarhq/bursar/pkg/wire"
)

// TestRecordedAnswersOverTheWire hands every recorded answer in as it came: each is understood or says nothing, and what
// a provider told of is kept under its name.
func TestRecordedAnswersOverTheWire(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	answers, windows, refusals := 0, 0, 0
	for _, file := range []string{"openllmetry_fixtures.dev.jsonl", "error_bodies.jsonl"} {
		f, err := os.Open(realdata.Path(t, "http_fixtures", file))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }() // only read
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var row struct {
				Status  int64             `json:"status"`
				Headers map[string]string `json:"headers"`
				Body    json.RawMessage   `json:"body"`
			}
			if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
				t.Fatal(err)
			}
			r, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Raw: &wire.RawObservation{Status: row.Status, Headers: row.Headers, Body: string(row.Body)}})
			if err != nil {
				t.Errorf("%s: %v", lines.Bytes(), err)
				continue
			}
			refused := row.Status == 429 || row.Status == 529
			if refused && !r.Recorded && !r.Terminal {
				t.Errorf("a refusal without meaning: %s: %+v", lines.Bytes(), r)
			}
			for i := range r.Windows {
				if w := &r.Windows[i]; w.Code != "" {
					t.Errorf("not taken: %+v", w)
				}
			}
			answers, windows = answers+1, windows+len(r.Windows)
			if refused {
				refusals++
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d answers, %d of them refusals, tell of %d windows", answers, refusals, windows)
	if answers < 50 || windows < 20 || refusals < 3 {
		t.Errorf("%d answers, %d windows, %d refusals", answers, windows, refusals)
	}
}

// TestRecordedStatusLineOverTheWire hands in the recorded status line, and that of another program's test data.
func TestRecordedStatusLineOverTheWire(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.agent("a1")
	data, err := os.ReadFile(realdata.Path(t, "http_fixtures", "unified_and_usage_samples.json"))
	if err != nil {
		t.Fatal(err)
	}
	var samples map[string]json.RawMessage
	if err := json.Unmarshal(data, &samples); err != nil {
		t.Fatal(err)
	}
	r, err := a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Raw: &wire.RawObservation{StatusLine: samples["statusline_rate_limits"]}})
	if err != nil || len(r.Windows) != 2 || r.Windows[0].Window != "session" || r.Windows[0].Said.UsedPercent == nil {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = a.Observe(s.ctx, wire.ObserveRequest{Account: "api-1", Raw: &wire.RawObservation{CodexLimits: samples["codex_token_count_rate_limits"]}})
	if err != nil || len(r.Windows) != 2 || len(r.Problems) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
