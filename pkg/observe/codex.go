package observe

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// codexWindows reads x-codex-<window>-{used-percent,window-minutes,reset-at,reset-after-seconds}. The length names the
// window, so the headers of one are read together.
func (r *reader) codexWindows(flat map[string]string, at time.Time) {
	for name, value := range flat {
		window, ok := strings.CutSuffix(name, "-used-percent")
		if !ok || !strings.HasPrefix(window, prefixCodex) {
			continue
		}
		field := func(suffix string) (float64, bool) {
			text, told := flat[window+suffix]
			if !told {
				return 0, false
			}
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				r.problem(window+suffix, text, "a number")
			}
			return n, err == nil
		}
		minutes, _ := field("-window-minutes")
		w := r.codexWindow(strings.TrimPrefix(window, prefixCodex), minutes)
		share, err := strconv.ParseFloat(value, 64)
		if n, ok := percentMilli(share, 100); ok && err == nil {
			w.PercentMilli = &n
		} else {
			r.problem(name, value, "a percentage")
		}
		if seconds, told := field("-reset-at"); told {
			r.epoch(w, window+"-reset-at", seconds)
		} else if seconds, told := field("-reset-after-seconds"); told {
			r.after(w, window+"-reset-after-seconds", seconds, at)
		}
	}
}

// codexWindow finds the window of this length; where none is told it keeps Codex's name of it.
func (r *reader) codexWindow(name string, minutes float64) *Window {
	length, ok := seconds2duration(minutes, time.Minute, true)
	switch {
	case !ok || length == 0:
		return r.window("codex_" + name)
	case length == 5*time.Hour:
		name = "session"
	case length == 7*24*time.Hour:
		name = "weekly"
	default:
		name = "codex_" + strconv.FormatInt(int64(length/time.Minute), 10) + "m"
	}
	w := r.window(name)
	w.Length = length
	return w
}

func (r *reader) epoch(w *Window, field string, seconds float64) {
	if at, ok := epoch(seconds, true); ok {
		w.ResetAt = at
		return
	}
	r.problem(field, strconv.FormatFloat(seconds, 'g', -1, 64), "seconds since 1970")
}

func (r *reader) after(w *Window, field string, seconds float64, at time.Time) {
	if d, ok := seconds2duration(seconds, time.Second, true); ok {
		w.ResetAt = at.Add(d).UTC()
		return
	}
	r.problem(field, strconv.FormatFloat(seconds, 'g', -1, 64), "seconds from now")
}

// CodexLimits reads the rate_limits object of a token_count event in Codex's session log; at is the event's time.
func CodexLimits(document []byte, at time.Time) *Said {
	r := newReader(SourceCodexLog)
	for name, raw := range r.object("rate_limits", document) {
		if trimmed := strings.TrimSpace(string(raw)); !strings.HasPrefix(trimmed, "{") {
			continue // null, or about the plan and not a window
		}
		fields := r.object(name, raw)
		if fields["used_percent"] == nil {
			continue
		}
		minutes, _ := r.number(name+".window_minutes", fields["window_minutes"])
		w := r.codexWindow(name, minutes)
		r.percent(w, name+".used_percent", fields["used_percent"])
		if seconds, told := r.number(name+".resets_at", fields["resets_at"]); told {
			r.epoch(w, name+".resets_at", seconds)
		} else if seconds, told := r.number(name+".resets_in_seconds", fields["resets_in_seconds"]); told {
			r.after(w, name+".resets_in_seconds", seconds, at)
		}
	}
	return r.done()
}

// object reads an object's fields; nil where it is none, which is told.
func (r *reader) object(field string, data []byte) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if len(data) > MaxBody {
		r.problem(field, "", "at most 64 KiB")
		return nil
	}
	if err := json.Unmarshal(data, &fields); err != nil {
		r.problem(field, string(data[:min(len(data), maxProblem)]), "a JSON object")
	}
	return fields
}

// number reads a number; one that is absent or null is not told.
func (r *reader) number(field string, raw json.RawMessage) (float64, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, false
	}
	var n float64
	if err := json.Unmarshal(raw, &n); err != nil {
		r.problem(field, string(raw), "a number")
		return 0, false
	}
	return n, true
}

func (r *reader) percent(w *Window, field string, raw json.RawMessage) {
	share, told := r.number(field, raw)
	if !told {
		return
	}
	if n, ok := percentMilli(share, 100); ok {
		w.PercentMilli = &n
		return
	}
	r.problem(field, string(raw), "a percentage")
}
