package estimates

import (
	"math"

	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Answer is an estimate and what it rests on. Beside Estimate and Ground, fields are zero where the table answers.
type Answer struct {
	estimate.Estimate

	Ground            string // wire.GroundTable or wire.GroundLearned
	Low, Median, High int64  // total tokens: 10 %, 50 % and 99 % of such tasks stay within
	Samples           int64
	TargetPercent     wire.Percent
}

// Asker is who will do a task, with what.
type Asker struct {
	Agent, Model string
	Files        int64 // that the task touches; 0 where nobody said
}

// Estimate answers for a task. Where tasks are known that tell something about it, the total is
// what the target share of them stays within, divided into classes as the table does; otherwise the table's. The margin
// of a conservative task is added to either. Errors: those of [estimate.For].
func (w *Watch) Estimate(task estimate.Task, by Asker) (Answer, error) {
	table, err := estimate.For(task)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Estimate: table, Ground: wire.GroundTable}
	book := w.book.Load()
	if book == nil {
		return answer, nil
	}
	conservative := task.Conservative
	task.Conservative = false
	plain, err := estimate.For(task)
	if err != nil {
		return Answer{}, err
	}
	labels := quota.Labels{TaskType: string(task.Type), Complexity: string(plain.Complexity), Model: by.Model, Agent: by.Agent, Files: by.Files}
	known, ok := book.Estimate(learn.KeyOf(&labels), learn.Table(&labels))
	if !ok || known.Ground.N < 1 {
		return answer, nil
	}
	total := known.Target
	if conservative {
		total = estimate.Conservative(total)
	}
	return Answer{
		Estimate: plain.WithTotal(total), Ground: wire.GroundLearned, Low: known.Low, Median: known.Median, High: known.High,
		Samples: int64(known.Ground.N), TargetPercent: wire.Percent(math.Round(book.Target() * percentage)),
	}, nil
}

// percentage is the whole in thousandths of a percent.
const percentage = 100_000

// Into puts what an answer rests on into a reply.
func (a *Answer) Into(reply *wire.EstimateReply) {
	reply.Ground, reply.Low, reply.Median, reply.High = a.Ground, a.Low, a.Median, a.High
	reply.Samples, reply.TargetPercent = a.Samples, a.TargetPercent
}
