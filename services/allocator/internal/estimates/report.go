package estimates

import (
	"cmp"
	"math"
	"slices"

	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Report tells how the estimates of the last days did.
func (w *Watch) Report() *wire.EstimatesReply {
	reply := &wire.EstimatesReply{Types: []wire.EstimateScore{}}
	b := w.book.Load()
	if b == nil {
		return reply
	}
	reply.Commit, reply.SinceAt, reply.TargetPercent = b.Number(), wire.TimeOf(b.Since()), percentOfPart(b.Target())
	report := b.Report()
	for name, s := range report {
		reply.Types = append(reply.Types, estimateScoreOf(name, &s))
	}
	slices.SortFunc(reply.Types, func(x, y wire.EstimateScore) int {
		return cmp.Or(cmp.Compare(y.Tasks, x.Tasks), cmp.Compare(x.TaskType, y.TaskType))
	})
	sum := learn.Sum(report)
	reply.Overall = estimateScoreOf("", &sum)
	return reply
}

func estimateScoreOf(name string, s *learn.Score) wire.EstimateScore {
	v := wire.EstimateScore{
		TaskType: name, Tasks: s.Tasks, UsedTokens: s.Used,
		Learned: estimateCountOf(&s.Learned, s.Tasks), Table: estimateCountOf(&s.Table, s.Tasks),
	}
	if s.Tasks > 0 {
		v.AimPercent = percentOfPart(s.Aimed / float64(s.Tasks))
	}
	if t := &s.Stated; t.Tasks > 0 {
		v.Stated = &wire.EstimateStated{
			Tasks: t.Tasks, UsedTokens: t.Used, EstimatedTokens: t.Estimated, GrantedTokens: t.Granted,
			Estimate: estimateCountOf(&t.Estimate, t.Tasks), Grant: estimateCountOf(&t.Grant, t.Tasks), Extended: t.Extended,
		}
	}
	return v
}

func estimateCountOf(c *learn.Count, tasks int64) wire.EstimateCount {
	v := wire.EstimateCount{Covered: c.Covered, WasteTokens: c.Waste, ShortTokens: c.Short}
	if tasks > 0 {
		v.CoveredPercent = percentOfPart(float64(c.Covered) / float64(tasks))
	}
	return v
}

// percentOfPart turns a part of 1 into a percentage.
func percentOfPart(part float64) wire.Percent { return wire.Percent(math.Round(part * percentage)) }
