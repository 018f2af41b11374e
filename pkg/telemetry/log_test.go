package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestLoggerWritesJSONWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, slog.LevelInfo).With("service", "allocator").WithGroup("commit")
	log.Debug("not shown")
	log.InfoContext(t.Context(), "written", "number", 7)
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatalf("output %q: %v", out.String(), err)
	}
	if record["msg"] != "written" || record["service"] != "allocator" {
		t.Errorf("record %v", record)
	}
}

func TestLogRecordsCarryTheTrace(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	NewLogger(&out, slog.LevelInfo).InfoContext(contextWithTrace(t), "hello")
	if !strings.Contains(out.String(), `"trace_id":"`+traceID+`"`) {
		t.Errorf("record %s lacks the trace", out.String())
	}
}

func TestLevelComesFromTheFlagThenTheEnvironment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, flag, env string
		want            slog.Level
		fails           bool
	}{
		{"neither", "", "", slog.LevelInfo, false},
		{"environment", "", "debug", slog.LevelDebug, false},
		{"flag wins", "error", "debug", slog.LevelError, false},
		{"upper case", "WARN", "", slog.LevelWarn, false},
		{"unknown", "loud", "", 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log, err := LoggerFromEnv(&out, tt.flag, func(string) string { return tt.env })
			if (err != nil) != tt.fails {
				t.Fatalf("error %v, want failure %v", err, tt.fails)
			}
			if tt.fails {
				return
			}
			if !log.Enabled(t.Context(), tt.want) || log.Enabled(t.Context(), tt.want-1) {
				t.Errorf("level is not %s", tt.want)
			}
		})
	}
}
