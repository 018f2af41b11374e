package forecast

import (
	"math"
	"slices"
	"time"
)

// Window is a limit's window as it stands, in the unit of the limit.
type Window struct {
	Start, End time.Time
	Used       float64
	Capacity   float64 // 0 while it is not known
}

// Pace compares how much of a window is used with how much of its time is over.
type Pace struct {
	UsedShare    float64 // of the capacity; 0 while that is not known
	ElapsedShare float64 // of the time
	// Ratio of the two: above 1 the window runs out before its end if it goes on like this. 0 where one is not known.
	Ratio float64
	// RunsOutAt is when it runs out at this pace; zero where it does not before the end.
	RunsOutAt time.Time
}

// Pace tells how a window stands at an instant.
func (w Window) Pace(now time.Time) Pace {
	length := w.End.Sub(w.Start)
	if length <= 0 {
		return Pace{}
	}
	p := Pace{ElapsedShare: min(1, max(0, now.Sub(w.Start).Seconds()/length.Seconds()))}
	if w.Capacity <= 0 {
		return p
	}
	p.UsedShare = max(0, w.Used) / w.Capacity
	if p.ElapsedShare == 0 {
		return p
	}
	p.Ratio = p.UsedShare / p.ElapsedShare
	switch {
	case w.Used >= w.Capacity:
		p.RunsOutAt = now
	case p.Ratio > 1:
		p.RunsOutAt = w.Start.Add(time.Duration(float64(length) / p.Ratio))
	}
	return p
}

// Exhaustion is when something runs out.
type Exhaustion struct {
	// Chance that it does within the outlook.
	Chance float64
	// Early and Late bound the time with four chances in five; it may as well be before the one as after the other. Likely
	// is in the middle. A time that is zero lies beyond the outlook.
	Early, Likely, Late time.Time
}

// Exhaustion tells when room for so many units is used up, with an interval that is widened as if so much more, or less, were
// used than the paths say: a logarithm, 0 for not at all.
func (o *Outlook) Exhaustion(room, widened float64) Exhaustion {
	steps := o.crossings(room)
	early, late := o.between(room, widened)
	within := 0
	for _, at := range steps {
		if !math.IsInf(at, 1) {
			within++
		}
	}
	return Exhaustion{
		Chance: float64(within) / float64(len(steps)),
		Early:  o.instant(early),
		Likely: o.instant(quantile(steps, 0.5)),
		Late:   o.instant(late),
	}
}

// crossings gives, in order, after how many steps each path has used the room up; infinite for never.
func (o *Outlook) crossings(room float64) []float64 {
	steps := make([]float64, len(o.paths))
	for i, path := range o.paths {
		steps[i] = crossing(path, room)
	}
	slices.Sort(steps)
	return steps
}

// crossing takes the use of a step as even.
func crossing(path []float64, room float64) float64 {
	if room <= 0 {
		return 0
	}
	sum := 0.0
	for i, used := range path {
		if used > 0 && sum+used >= room {
			return float64(i) + (room-sum)/used
		}
		sum += used
	}
	return math.Inf(1)
}

func (o *Outlook) instant(steps float64) time.Time {
	if math.IsInf(steps, 1) {
		return time.Time{}
	}
	return o.start.Add(time.Duration(steps * float64(o.step)))
}
