package observe

import (
	"encoding/json"
	"strings"
)

// StatusLine reads the JSON that Claude Code gives its status line command. One without rate_limits, as it comes before
// the first answer and on API keys, says nothing and is no problem.
func StatusLine(document []byte) *Said {
	r := newReader(SourceStatusLine)
	limits := r.object("status_line", document)["rate_limits"]
	if len(limits) == 0 || string(limits) == "null" {
		return r.done()
	}
	for name, raw := range r.object("rate_limits", limits) {
		if !strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
			continue
		}
		field := "rate_limits." + name
		fields := r.object(field, raw)
		ours, length := unifiedName(name)
		w := r.window(ours)
		w.Length = length
		r.percent(w, field+".used_percentage", fields["used_percentage"])
		r.resetOf(w, field+".resets_at", fields["resets_at"])
	}
	return r.done()
}

// resetOf reads seconds since 1970, or a text of RFC 3339.
func (r *reader) resetOf(w *Window, field string, raw json.RawMessage) {
	if len(raw) == 0 || string(raw) == "null" {
		return
	}
	r.reset(w, field, strings.Trim(string(raw), `"`))
}
