package learn

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bursarhq/bursar/pkg/quota"
)

const (
	// give is how far below the target the costliest tasks may be covered, so that cheap ones are covered beyond it.
	give = 0.10
	// mostAim is the most that is ever aimed at.
	mostAim = 0.99
	// gamma is how far one task moves the level of its type.
	gamma              = 0.003
	minLevel, maxLevel = 0.5, 0.995

	// weighedKeys bounds the keys that the price of a covered task is worked out from.
	weighedKeys = 256
	// Between two times that it is worked out lie a twentieth of the tasks so far, mostBetween at most.
	between, mostBetween = 20, 200
	// logTokensMost is the logarithm of more tokens than any estimate can have.
	logTokensMost = 60.0
	// bisections halve an interval until it is finer than any figure here.
	bisections = 24
)

// aimAt is the share to cover where a task that fits is worth this many tokens, as a logarithm: no more than it is worth.
func (b *Book) aimAt(s shape, logWorth float64) float64 {
	low, high := max(minLevel, b.target-give), max(mostAim, b.target)
	for range bisections {
		if at := (low + high) / 2; s.logCost(at) < logWorth {
			low = at
		} else {
			high = at
		}
	}
	return low
}

// aim is the share of tasks of a shape that are to fit.
func (b *Book) aim(s shape) float64 {
	if b.logWorth == 0 { // too little is known to weigh one type against another
		return b.target
	}
	return b.aimAt(s, b.logWorth)
}

// weigh works out what a task that fits is worth, so that over all tasks the target share fits. At that price no tokens
// could be moved from one kind of task to another and cover more.
func (b *Book) weigh() {
	type kind struct {
		shape
		n float64
	}
	var kinds []kind
	total := 0.0
	for _, k := range b.largest(modelLevel) {
		labels := quota.Labels{TaskType: k.TaskType, Complexity: k.Complexity}
		m, n := b.predict(k, Table(&labels)), b.keys[k].n()
		kinds = append(kinds, kind{m.shape(), n})
		total += n
	}
	low, high := 0.0, logTokensMost
	for range bisections {
		at, covered := (low+high)/2, 0.0
		for _, k := range kinds {
			covered += k.n * b.aimAt(k.shape, at)
		}
		if covered < b.target*total {
			low = at
		} else {
			high = at
		}
	}
	b.logWorth, b.weighed = high, b.tasks
}

// due tells whether the price is to be worked out anew.
func (b *Book) due() bool {
	return b.tasks-b.weighed >= min(mostBetween, max(1, b.tasks/between))
}

// largest lists the keys of a level with the most tasks, weighedKeys at most.
func (b *Book) largest(level int) []Key {
	list := slices.SortedFunc(maps.Keys(b.keys), func(x, y Key) int {
		return cmp.Or(cmp.Compare(b.keys[y].n(), b.keys[x].n()), compareKeys(x, y))
	})
	list = slices.DeleteFunc(list, func(k Key) bool { return k.Level != level })
	return list[:min(len(list), weighedKeys)]
}

// steered is the level that is taken so that the aim is reached, by what became of the tasks of the type before.
func (b *Book) steered(taskType string, aim float64) float64 {
	return min(maxLevel, max(minLevel, aim+b.shifts[b.scoredAs(taskType)]))
}

// steer moves the level of a type by what became of a task.
func (b *Book) steer(name string, aim float64, covered bool) {
	moved := b.shifts[name] + gamma*aim
	if covered {
		moved -= gamma
	}
	b.shifts[name] = min(maxLevel-minLevel, max(minLevel-maxLevel, moved))
}
