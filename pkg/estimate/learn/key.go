package learn

import (
	"github.com/bursarhq/bursar/pkg/estimate"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Key says which tasks are alike. An empty part at the end leaves it out; [Key.levels] lists the coarser ones.
type Key struct {
	TaskType   string `cbor:"1,keyasint,omitempty"`
	Complexity string `cbor:"2,keyasint,omitempty"`
	Model      string `cbor:"3,keyasint,omitempty"`
	Agent      string `cbor:"4,keyasint,omitempty"`
	Files      string `cbor:"5,keyasint,omitempty"` // a range, see FilesRange
	Level      int    `cbor:"6,keyasint,omitempty"` // how many of the parts count; 0 is the scale over all types
}

// Levels is how many levels there are below the scale: each adds one part of a key.
const Levels = 5

// modelLevel is the level of task type, complexity and model.
const modelLevel = 3

// KeyOf gives the finest key of a reservation's work.
func KeyOf(l *quota.Labels) Key {
	return Key{
		TaskType: l.TaskType, Complexity: complexityOf(l), Model: l.Model, Agent: l.Agent, Files: FilesRange(l.Files), Level: Levels,
	}
}

// complexityOf gives the one word for each way to write a complexity, and what is usual for the type where none is said:
// an estimate answers with that word, and agents reserve with it. Words that nobody knows are kept as they are.
func complexityOf(l *quota.Labels) string {
	complexity, err := estimate.ParseComplexity(l.Complexity)
	if err != nil {
		return l.Complexity
	}
	if complexity == estimate.Unstated {
		complexity = estimate.Default()[estimate.Type(l.TaskType)].Complexity
	}
	return string(complexity)
}

// Table is what the static table says of a reservation's work, in total tokens; 0 for what it does not know. A complexity
// that is usual for the type scales nothing: it is what an estimate answers for a task that states none.
func Table(l *quota.Labels) int64 {
	complexity, files := estimate.Complexity(complexityOf(l)), l.Files
	if complexity == estimate.Default()[estimate.Type(l.TaskType)].Complexity {
		complexity = estimate.Unstated
	}
	if files <= 0 {
		files = estimate.UsualFiles
	}
	e, err := estimate.For(estimate.Task{Type: estimate.Type(l.TaskType), Complexity: complexity, Files: files})
	if err != nil {
		return 0
	}
	return e.TotalTokens
}

// at gives the key's ancestor of a level.
func (k Key) at(level int) Key {
	parts := []*string{&k.TaskType, &k.Complexity, &k.Model, &k.Agent, &k.Files}
	for _, part := range parts[level:] {
		*part = ""
	}
	k.Level = level
	return k
}

// levels lists the key and its ancestors, coarse first; the scale is not among them.
func (k Key) levels() []Key {
	list := make([]Key, Levels)
	for i := range list {
		list[i] = k.at(i + 1)
	}
	return list
}

// FilesRange names the range that a number of files lies in; empty for 0 and below, which nobody said.
func FilesRange(files int64) string {
	for _, r := range []struct {
		most int64
		name string
	}{{0, ""}, {1, "1"}, {5, "2-5"}, {10, "6-10"}, {20, "11-20"}, {50, "21-50"}} {
		if files <= r.most {
			return r.name
		}
	}
	return "51+"
}
