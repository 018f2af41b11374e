package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/services/cli/internal/bench"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"help", []string{"-help"}, 0, "-clients"},
		{"unknown part", []string{"-parts", "speed"}, exitUsage, `part "speed"`},
		{"not a number", []string{"-clients", "many"}, exitUsage, `"many" is not a number`},
		{"no client", []string{"-clients", "0"}, exitUsage, "0 clients"},
		{"argument", []string{"now"}, exitUsage, `unexpected argument "now"`},
		{"no such program", []string{"-parts", "recovery", "-allocator", "nowhere/bursar-allocator"}, exitFailure, "nowhere/bursar-allocator"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out, diagnostics strings.Builder
			if status := run(tt.args, &out, &diagnostics); status != tt.status || !strings.Contains(diagnostics.String(), tt.want) {
				t.Errorf("status %d, want %d and %q in %q", status, tt.status, tt.want, diagnostics.String())
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out, diagnostics strings.Builder
	args := []string{"-parts", "throughput", "-clients", "2", "-repetitions", "1", "-duration", "300ms", "-json"}
	if status := run(args, &out, &diagnostics); status != 0 {
		t.Fatalf("status %d: %s", status, diagnostics.String())
	}
	var report bench.Report
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if len(report.Rows) < 4 || report.Repetitions != 1 {
		t.Errorf("report %+v", report)
	}
}
