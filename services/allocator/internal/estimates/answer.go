package estimates

import (
	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/estimate/learn"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Answer is an estimate and what it rests on. Beside Table, Total and Ground, fields are zero where the table answers.
type Answer struct {
	Table estimate.Estimate // what the table says, with its labels
	Total int64             // tokens of all classes

	Ground            string // wire.GroundTable or wire.GroundLearned
	Low, Median, High int64  // total tokens: 10 %, 50 % and 99 % of such tasks stay within
	Samples           int64
	TargetPercent     wire.Percent
	shares            learn.Shares
}

// Asker is who will do a task, with what.
type Asker struct {
	Agent, Model string
	Files        int64 // that the task touches; 0 where nobody said
}

// Estimate answers for a task. Where tasks are known that tell something about it, the total is what the share of them
// that is aimed at stays within, and divides into classes as they did; otherwise the table's. The margin of a conservative
// task is added to either. Errors: those of [estimate.For].
func (w *Watch) Estimate(task estimate.Task, by Asker) (Answer, error) {
	table, err := estimate.For(task)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Table: table, Total: table.TotalTokens, Ground: wire.GroundTable}
	book := w.book.Load()
	if book == nil {
		return answer, nil
	}
	labels := quota.Labels{TaskType: string(task.Type), Complexity: string(table.Complexity), Model: by.Model, Agent: by.Agent, Files: by.Files}
	known, ok := book.Estimate(learn.KeyOf(&labels), learn.Table(&labels))
	if !ok || known.Ground.N < 1 {
		return answer, nil
	}
	answer.Total = known.Target
	if task.Conservative {
		answer.Total = estimate.Conservative(known.Target)
	}
	answer.Ground, answer.shares, answer.Samples = wire.GroundLearned, known.Shares, int64(known.Ground.N)
	answer.Low, answer.Median, answer.High = known.Low, known.Median, known.High
	answer.TargetPercent = percentOfPart(known.Aim)
	return answer, nil
}

// percentage is the whole in thousandths of a percent.
const percentage = 100_000

// Tokens divides the total into classes.
func (a *Answer) Tokens() quota.Tokens {
	if a.Total == a.Table.TotalTokens && a.Ground == wire.GroundTable {
		return quota.Tokens{Input: a.Table.InputTokens, Output: a.Table.OutputTokens}
	}
	return a.shares.Divide(a.Total, a.Table)
}

// Into puts what an answer rests on into a reply.
func (a *Answer) Into(reply *wire.EstimateReply) {
	reply.Ground, reply.Low, reply.Median, reply.High = a.Ground, a.Low, a.Median, a.High
	reply.Samples, reply.TargetPercent = a.Samples, a.TargetPercent
}
