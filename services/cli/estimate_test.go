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
		"from one task": {wire.EstimateReply{Ground: wire.GroundLearned, Samples: 1, TargetPercent: 90_000}, []string{"1 settled task;", "90% of such"}, "capped"},
		"learned": {
			wire.EstimateReply{
				TotalTokens: much, Tokens: wire.Tokens{Input: much / 2, Output: much / 2}, Unpriced: true, Complexity: "medium", Priority: "normal",
				Ground: wire.GroundLearned, Low: much, Median: much + 1, High: much + 2, Samples: much, TargetPercent: 92_512,
				CappedBy: strings.Repeat("a-long-account/", 4),
			},
			[]string{"92.5% of such", "9,000,000,001 (median)", "a-long-account"}, "built-in",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			a := &app{screen: screen.New(&out, narrow)}
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

func TestShowEstimates(t *testing.T) {
	t.Parallel()
	const much = 9_000_000_000
	score := wire.EstimateScore{
		Tasks: 1_234_567, UsedTokens: much, AimPercent: 90_000, Learned: wire.EstimateCount{Covered: 1_000_000, CoveredPercent: 81_000, WasteTokens: 13 * much / 10, ShortTokens: much / 5},
		Table: wire.EstimateCount{Covered: 12_345, ShortTokens: 9 * much / 10}, Stated: &wire.EstimateStated{
			Tasks: 100, UsedTokens: much, EstimatedTokens: 2 * much, GrantedTokens: 2*much - 1, Extended: 7,
			Estimate: wire.EstimateCount{Covered: 91, WasteTokens: much}, Grant: wire.EstimateCount{Covered: 88},
		},
	}
	named := score
	named.TaskType = strings.Repeat("a-long-type-", 8)
	for name, row := range map[string]struct {
		reply wire.EstimatesReply
		want  []string
		no    string
	}{
		"nothing settled": {wire.EstimatesReply{}, []string{"No task was settled"}, "TASK TYPE"},
		"full": {
			wire.EstimatesReply{SinceAt: 1_780_387_200_000, TargetPercent: 90_000, Overall: score, Types: []wire.EstimateScore{named, score}},
			[]string{"since Jun 2 (UTC)", "all", "(none)", "1,234,567", "81%", "130%", "20%", "18,000,000,000 tokens, which covered 91% and wasted 100%", "7 of them later",
				"covered 81%, wasted 130%, short by 20% of what was used; loss 31%", "covered 1.0%, wasted 0%, short by 90% of what was used; loss 81%", "counts as 9 wasted"}, "No task",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			a := &app{screen: screen.New(&out, narrow)}
			a.showEstimates(&row.reply)
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
