package estimate

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// The base figures once more, written out, so that a change of the table is noticed.
func TestBaseFigures(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		task       Type
		input, out int64
		priority   Priority
		complexity Complexity
	}{
		{CodeGeneration, 3_000, 12_000, PriorityNormal, Medium},
		{CodeReview, 6_000, 2_000, PriorityNormal, Medium},
		{Documentation, 4_000, 6_000, PriorityLow, Low},
		{Analysis, 8_000, 4_000, PriorityHigh, High},
		{QuickQuery, 1_000, 1_000, PriorityLow, Low},
	} {
		t.Run(string(row.task), func(t *testing.T) {
			t.Parallel()
			got, err := For(Task{Type: row.task, Files: UsualFiles})
			want := Estimate{row.input, row.out, row.input + row.out, row.priority, row.complexity}
			if err != nil || got != want {
				t.Fatalf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

// Hand-computed figures for the corners of every factor.
func TestFactors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		task Task
		want Estimate
	}{
		{"one file is clamped to half", Task{Type: CodeGeneration, Files: 1}, Estimate{1_500, 6_000, 7_500, PriorityNormal, Medium}},
		{"five files are half", Task{Type: CodeGeneration, Files: 5}, Estimate{1_500, 6_000, 7_500, PriorityNormal, Medium}},
		{"six files", Task{Type: CodeGeneration, Files: 6}, Estimate{1_800, 7_200, 9_000, PriorityNormal, Medium}},
		{"thirty files are triple", Task{Type: CodeGeneration, Files: 30}, Estimate{9_000, 36_000, 45_000, PriorityNormal, Medium}},
		{"the most files are clamped to triple", Task{Type: CodeGeneration, Files: MaxFiles}, Estimate{9_000, 36_000, 45_000, PriorityNormal, Medium}},
		{"simple", Task{Type: CodeReview, Complexity: Low, Files: 10}, Estimate{4_200, 1_400, 5_600, PriorityNormal, Low}},
		{"stated medium scales nothing", Task{Type: QuickQuery, Complexity: Medium, Files: 10}, Estimate{1_000, 1_000, 2_000, PriorityLow, Medium}},
		{"complex", Task{Type: CodeReview, Complexity: High, Files: 10}, Estimate{9_000, 3_000, 12_000, PriorityNormal, High}},
		{"complex where the row is high already", Task{Type: Analysis, Complexity: High, Files: 10}, Estimate{12_000, 6_000, 18_000, PriorityHigh, High}},
		{"conservative", Task{Type: Documentation, Files: 10, Conservative: true}, Estimate{5_200, 7_800, 13_000, PriorityLow, Low}},
		{"urgent", Task{Type: Documentation, Files: 10, Urgent: true}, Estimate{4_000, 6_000, 10_000, PriorityHigh, Low}},
		{"all factors", Task{Type: CodeGeneration, Complexity: High, Files: 30, Urgent: true, Conservative: true}, Estimate{17_550, 70_200, 87_750, PriorityHigh, High}},
		{"simple, few files, conservative", Task{Type: QuickQuery, Complexity: Low, Files: 2, Conservative: true}, Estimate{455, 455, 910, PriorityLow, Low}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := For(row.task)
			if err != nil || got != row.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, row.want)
			}
		})
	}
}

// Every cell of type × complexity × files × urgent × conservative against exact rational arithmetic.
func TestEveryCell(t *testing.T) {
	t.Parallel()
	for _, taskType := range Types() {
		for _, complexity := range []Complexity{Unstated, Low, Medium, High} {
			for files := int64(1); files <= 40; files++ {
				for bit := range 4 {
					task := Task{Type: taskType, Complexity: complexity, Files: files, Urgent: bit&1 != 0, Conservative: bit&2 != 0}
					got, err := For(task)
					if err != nil {
						t.Fatalf("%+v: %v", task, err)
					}
					if problem := contradicts(Default()[taskType], task, got); problem != "" {
						t.Fatalf("%+v gave %+v: %s", task, got, problem)
					}
				}
			}
		}
	}
}

// contradicts recomputes the total with big.Rat and checks the sum and the share of the input.
func contradicts(base Base, task Task, got Estimate) string {
	exact := big.NewRat(base.InputTokens+base.OutputTokens, 1)
	files := big.NewRat(task.Files, 10)
	if files.Cmp(big.NewRat(1, 2)) < 0 {
		files = big.NewRat(1, 2)
	}
	if files.Cmp(big.NewRat(3, 1)) > 0 {
		files = big.NewRat(3, 1)
	}
	exact.Mul(exact, files)
	switch task.Complexity {
	case Low:
		exact.Mul(exact, big.NewRat(7, 10))
	case High:
		exact.Mul(exact, big.NewRat(3, 2))
	}
	if task.Conservative {
		exact.Mul(exact, big.NewRat(13, 10))
	}
	over := new(big.Rat).Sub(big.NewRat(got.TotalTokens, 1), exact)
	if over.Sign() < 0 || over.Cmp(big.NewRat(1, 1)) >= 0 {
		return "the total is not the exact product rounded up: " + exact.FloatString(3)
	}
	if got.InputTokens+got.OutputTokens != got.TotalTokens || got.InputTokens < 0 || got.OutputTokens < 0 {
		return "the parts do not make up the total"
	}
	share := big.NewRat(got.TotalTokens, 1)
	share.Mul(share, big.NewRat(base.InputTokens, base.InputTokens+base.OutputTokens))
	under := share.Sub(share, big.NewRat(got.InputTokens, 1))
	if under.Sign() < 0 || under.Cmp(big.NewRat(1, 1)) >= 0 {
		return "the input did not scale with the total"
	}
	if task.Urgent && got.Priority != PriorityHigh || !task.Urgent && got.Priority != base.Priority {
		return "wrong priority"
	}
	return ""
}

func TestErrors(t *testing.T) {
	t.Parallel()
	wide := Table{
		"huge":  {InputTokens: math.MaxInt64 / 2, OutputTokens: math.MaxInt64 / 2, Priority: PriorityLow, Complexity: Low},
		"sum":   {InputTokens: math.MaxInt64, OutputTokens: 1, Priority: PriorityLow, Complexity: Low},
		"large": {InputTokens: MaxTokens, OutputTokens: 0, Priority: PriorityLow, Complexity: Low},
		"none":  {},
		"minus": {InputTokens: -1, OutputTokens: 5},
	}
	for _, row := range []struct {
		name  string
		table Table
		task  Task
		want  error
	}{
		{"unknown type", Default(), Task{Type: "poetry", Files: 1}, ErrUnknownType},
		{"empty type", Default(), Task{Files: 1}, ErrUnknownType},
		{"no files", Default(), Task{Type: Analysis}, ErrFiles},
		{"negative files", Default(), Task{Type: Analysis, Files: -3}, ErrFiles},
		{"most negative files", Default(), Task{Type: Analysis, Files: math.MinInt64}, ErrFiles},
		{"too many files", Default(), Task{Type: Analysis, Files: MaxFiles + 1}, ErrOverflow},
		{"most files an int holds", Default(), Task{Type: Analysis, Files: math.MaxInt64}, ErrOverflow},
		{"unknown complexity", Default(), Task{Type: Analysis, Files: 1, Complexity: "tricky"}, ErrUnknownComplexity},
		{"total over int64", wide, Task{Type: "huge", Files: 30, Complexity: High, Conservative: true}, ErrOverflow},
		{"sum over int64", wide, Task{Type: "sum", Files: 10}, ErrOverflow},
		{"total over the bound", wide, Task{Type: "large", Files: 11}, ErrOverflow},
		{"row of zeros", wide, Task{Type: "none", Files: 10}, ErrBase},
		{"negative row", wide, Task{Type: "minus", Files: 10}, ErrBase},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := row.table.Estimate(row.task)
			if !errors.Is(err, row.want) || got != (Estimate{}) {
				t.Fatalf("got %+v, %v; want %v", got, err, row.want)
			}
		})
	}
	if got, err := wide.Estimate(Task{Type: "large", Files: 10}); err != nil || got.TotalTokens != MaxTokens {
		t.Fatalf("a total at the bound must pass: %+v, %v", got, err)
	}
}

func TestAnUnknownTypeNamesTheKnown(t *testing.T) {
	t.Parallel()
	table := Default()
	table["audit"] = table[Analysis]
	_, err := table.Estimate(Task{Type: "poetry", Files: 1})
	want := `unknown task type "poetry": write code_generation, code_review, documentation, analysis, quick_query, audit`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestParseComplexity(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]Complexity{
		"": Unstated, "low": Low, "simple": Low, "medium": Medium, "normal": Medium, "high": High, "complex": High,
	} {
		if got, err := ParseComplexity(word); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", word, got, err, want)
		}
	}
	if _, err := ParseComplexity("Simple"); !errors.Is(err, ErrUnknownComplexity) {
		t.Errorf("got %v, want ErrUnknownComplexity", err)
	}
}

// More of anything never lowers an estimate.
func TestMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		table := Table{"task": {
			InputTokens:  rapid.Int64Range(0, MaxTokens/20).Draw(t, "in"),
			OutputTokens: rapid.Int64Range(1, MaxTokens/20).Draw(t, "out"),
			Priority:     PriorityNormal, Complexity: Medium,
		}}
		small := Task{
			Type: "task", Files: rapid.Int64Range(1, 60).Draw(t, "files"),
			Complexity: rapid.SampledFrom([]Complexity{Low, Medium}).Draw(t, "complexity"),
		}
		large := small
		large.Files += rapid.Int64Range(0, 60).Draw(t, "more")
		large.Complexity = map[Complexity]Complexity{Low: Medium, Medium: High}[small.Complexity]
		large.Conservative = rapid.Bool().Draw(t, "conservative")
		a, errA := table.Estimate(small)
		b, errB := table.Estimate(large)
		if errA != nil || errB != nil {
			t.Fatalf("%v, %v", errA, errB)
		}
		if a.TotalTokens > b.TotalTokens || a.InputTokens > b.InputTokens || a.InputTokens+a.OutputTokens != a.TotalTokens {
			t.Fatalf("%+v gave %+v, %+v gave %+v", small, a, large, b)
		}
		if problem := contradicts(table["task"], large, b); problem != "" {
			t.Fatalf("%+v gave %+v: %s", large, b, problem)
		}
	})
}

func FuzzEstimate(f *testing.F) {
	f.Add("analysis", "high", int64(12), true, false, int64(8_000), int64(4_000))
	f.Add("", "", int64(0), false, true, int64(0), int64(0))
	f.Add("quick_query", "low", int64(math.MaxInt64), true, true, int64(math.MaxInt64), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, taskType, complexity string, files int64, urgent, conservative bool, in, out int64) {
		table := Default()
		table["fuzzed"] = Base{InputTokens: in, OutputTokens: out, Priority: PriorityLow, Complexity: Low}
		for _, name := range []Type{Type(taskType), "fuzzed"} {
			task := Task{Type: name, Complexity: Complexity(complexity), Files: files, Urgent: urgent, Conservative: conservative}
			got, err := table.Estimate(task)
			if err != nil {
				if got != (Estimate{}) {
					t.Fatalf("an error and an estimate: %+v, %v", got, err)
				}
				continue
			}
			if problem := contradicts(table[name], task, got); problem != "" {
				t.Fatalf("%+v gave %+v: %s", task, got, problem)
			}
		}
	})
}

func BenchmarkFor(b *testing.B) {
	task := Task{Type: CodeGeneration, Files: 17, Complexity: High, Conservative: true}
	for b.Loop() {
		if _, err := For(task); err != nil {
			b.Fatal(err)
		}
	}
}
