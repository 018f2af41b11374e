package statusline

import (
	"encoding/json"
	"math"
	"time"

	"github.com/bursarhq/bursar/pkg/observe"
)

// MaxBytes is how much of the input is read.
const MaxBytes = observe.MaxBody

// maxMoney is the most that a session is believed to cost, in USD.
const maxMoney = 1e9

// Document is what a status line JSON tells.
type Document struct {
	Model        string
	CostMicroUSD int64 // of the session; -1 where not told
	Windows      []Window
	// Raw is the document where it is a JSON object; nil for anything else.
	Raw json.RawMessage
}

// Window is one window of the subscription.
type Window struct {
	Name         string    `json:"window"`
	PercentMilli int64     `json:"-"` // used, in thousandths of a percent
	ResetAt      time.Time `json:"-"` // zero where not told
	length       time.Duration
}

// Read reads a status line JSON; what is none tells nothing.
func Read(data []byte) *Document {
	d := &Document{CostMicroUSD: -1}
	var fields map[string]json.RawMessage
	if len(data) > MaxBytes || json.Unmarshal(data, &fields) != nil || fields == nil {
		return d
	}
	d.Raw = data
	var model struct {
		ID          string `json:"id"`
		DisplayName string `json:"display_name"`
	}
	if json.Unmarshal(fields["model"], &model) == nil {
		d.Model = model.DisplayName
		if d.Model == "" {
			d.Model = model.ID
		}
	}
	var cost struct {
		Total *float64 `json:"total_cost_usd"`
	}
	if json.Unmarshal(fields["cost"], &cost) == nil && cost.Total != nil && *cost.Total >= 0 && *cost.Total < maxMoney {
		d.CostMicroUSD = int64(math.Round(*cost.Total * 1e6))
	}
	said := observe.StatusLine(data)
	for i := range said.Windows {
		if w := &said.Windows[i]; w.PercentMilli != nil {
			d.Windows = append(d.Windows, Window{w.Name, *w.PercentMilli, w.ResetAt, w.Length})
		}
	}
	return d
}

// Pace is how fast a window fills, in percent of the pace that would just fill it until its reset; ok is false where that
// cannot be told: without a reset, and in the first hundredth of the window.
func (w *Window) Pace(now time.Time) (percent int64, ok bool) {
	left := w.ResetAt.Sub(now)
	elapsed := w.length - left
	if w.ResetAt.IsZero() || w.length == 0 || left < 0 || elapsed < w.length/100 {
		return 0, false
	}
	return int64(math.Round(float64(w.PercentMilli) / 1000 / (float64(elapsed) / float64(w.length)))), true
}

// Full is in how long the window is full at the pace so far; ok is false where it is not before its reset.
func (w *Window) Full(now time.Time) (in time.Duration, ok bool) {
	const full = 100_000
	if pace, told := w.Pace(now); !told || pace <= 100 || w.PercentMilli >= full {
		return 0, false
	}
	elapsed := w.length - w.ResetAt.Sub(now)
	return time.Duration(float64(elapsed) * float64(full-w.PercentMilli) / float64(w.PercentMilli)), true
}
