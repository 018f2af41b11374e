package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

func TestShowEstimate(t *testing.T) {
	t.Parallel()
	const much = 9_000_000_000
	for name, row := range map[string]struct {
		reply wire.EstimateReply
		want  []string
		no    string
	}{
		"of the table":  {wire.EstimateReply{Ground: wire.GroundTable}, []string{"the built-in table"}, "interval"},
		"not told":      {wire.EstimateReply{}, []string{"tokens"}, "rests on"},
		"from one task": {wire.EstimateReply{Ground: wire.GroundLearned, Samples: 1, TargetPercent: 90_000}, []string{"1 settled task;", "90 % of such"}, "capped"},
		"learned": {
			wire.EstimateReply{
				TotalTokens: much, Tokens: wire.Tokens{Input: much / 2, Output: much / 2}, Unpriced: true, Complexity: "medium", Priority: "normal",
				Ground: wire.GroundLearned, Low: much, Median: much + 1, High: much + 2, Samples: much, TargetPercent: 92_500,
				CappedBy: strings.Repeat("a-long-account/", 4),
			},
			[]string{"92.5 % of such", "9,000,000,001 (median)", "a-long-account"}, "built-in",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			a := &app{screen: screen.New(&out, func(string) string { return "" })}
			a.showEstimate(&row.reply)
			fits(t, out.String())
			for _, want := range row.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in\n%s", want, out.String())
				}
			}
			if strings.Contains(out.String(), row.no) {
				t.Errorf("%q is in\n%s", row.no, out.String())
			}
		})
	}
}
