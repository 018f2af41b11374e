package observe

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// StatusOverloaded is Anthropic's status for an overloaded service.
const StatusOverloaded = 529

// terminalMarks are codes and words of refusals with status 429 that no wait cures: they say nothing of a window.
var terminalMarks = []string{"insufficient_quota", "request too large", "extra usage is required"}

var (
	tryAgain  = regexp.MustCompile(`try again in ([0-9][0-9hms.]{0,20}s)\b`)
	perMinute = regexp.MustCompile(`([0-9][0-9,]{0,18}) (input tokens|output tokens|tokens|requests) per minute`)
)

// refusal reads what a 429 or 529 says in its body; other answers say nothing here.
func (r *reader) refusal(status int, body []byte) {
	if status != http.StatusTooManyRequests && status != StatusOverloaded {
		return
	}
	var document struct {
		Error struct {
			Type    string `json:"type"`
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body = body[:min(len(body), MaxBody)]
	if err := json.Unmarshal(body, &document); err != nil && len(body) > 0 {
		r.problem("body", string(body[:min(len(body), maxProblem)]), "a JSON object with error")
	}
	e := document.Error
	r.said.Reason = cleanName(firstOf(e.Code, e.Type))
	if status == StatusOverloaded || e.Type == "overloaded_error" {
		r.said.Signal = Overloaded
		return
	}
	text := strings.ToLower(e.Code + " " + e.Message)
	for _, mark := range terminalMarks {
		if strings.Contains(text, mark) {
			r.said.Terminal, r.said.Signal = true, ""
			return
		}
	}
	if m := tryAgain.FindStringSubmatch(e.Message); m != nil && r.said.RetryAfter == 0 {
		if d, ok := duration(m[1]); ok {
			r.said.RetryAfter = d
		}
	}
	r.refusedWindow(e.Type, e.Message)
}

// refusedWindow finds which window a 429 is about: the one that a header rejected, else the one that the text names,
// else one that has nothing left, else none.
func (r *reader) refusedWindow(kind, message string) {
	for _, w := range r.windows {
		if w.Signal == Exhausted {
			r.said.Signal = ""
			return
		}
	}
	name := ""
	if m := perMinute.FindStringSubmatch(message); m != nil {
		name = plainName(strings.ReplaceAll(m[2], " ", "-"))
		if w := r.window(name); w.Limit == nil {
			w.Limit = r.count("error.message", m[1])
		}
	} else if ours := plainNames[kind]; ours != "" {
		name = ours
	} else {
		for _, w := range r.windows {
			if w.Remaining != nil && *w.Remaining == 0 && (name == "" || w.Name < name) {
				name = w.Name
			}
		}
	}
	if name == "" {
		r.said.Signal = Exhausted
		return
	}
	r.window(name).Signal, r.said.Signal = Exhausted, ""
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
