package observe

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefixes of the headers that tell of limits.
const (
	prefixUnified   = "anthropic-ratelimit-unified-"
	prefixAnthropic = "anthropic-ratelimit-"
	prefixPriority  = "anthropic-priority-"
	prefixFast      = "anthropic-fast-"
	prefixOpenAI    = "x-ratelimit-"
	prefixCodex     = "x-codex-"
)

// Headers reads the headers of an answer that came at this time. Names are matched without regard to case.
func Headers(h http.Header, at time.Time) *Said {
	r := newReader(SourceHeaders)
	r.headers(h, at)
	return r.done()
}

// Response reads an answer's status, headers and body (of which a prefix will do).
func Response(status int, h http.Header, body []byte, at time.Time) *Said {
	r := newReader(SourceHeaders)
	r.headers(h, at)
	r.refusal(status, body)
	return r.done()
}

func (r *reader) headers(h http.Header, at time.Time) {
	r.flatHeaders(flatten(h), at)
}

// flatten lower-cases the names; of one that stands in several spellings the first in order counts.
func flatten(h http.Header) map[string]string {
	flat := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lower := strings.ToLower(name)
		if _, twice := flat[lower]; !twice && len(h[name]) > 0 {
			flat[lower] = strings.TrimSpace(h[name][0])
		}
	}
	return flat
}

func (r *reader) flatHeaders(flat map[string]string, at time.Time) {
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		r.header(name, flat[name], at)
	}
	if wait, ok := flat["retry-after-ms"]; ok { // the more exact one wins
		n, err := strconv.ParseFloat(wait, 64)
		if d, ok := seconds2duration(n, time.Millisecond, err == nil); ok {
			r.said.RetryAfter = d
		} else {
			r.problem("retry-after-ms", wait, "milliseconds")
		}
	}
	r.codexWindows(flat, at)
}

// header reads one header; those that tell of no limit are passed over.
func (r *reader) header(name, value string, at time.Time) {
	switch {
	case name == "retry-after":
		if d, ok := retryAfter(value, at); ok {
			r.said.RetryAfter = d
		} else {
			r.problem(name, value, "seconds or an HTTP date")
		}
	case strings.HasPrefix(name, prefixUnified):
		r.unified(name, strings.TrimPrefix(name, prefixUnified), value)
	case strings.HasPrefix(name, prefixAnthropic):
		r.plain(name, strings.TrimPrefix(name, prefixAnthropic), "", value)
	case strings.HasPrefix(name, prefixPriority):
		r.plain(name, strings.TrimPrefix(name, prefixPriority), "priority_", value)
	case strings.HasPrefix(name, prefixFast):
		r.plain(name, strings.TrimPrefix(name, prefixFast), "fast_", value)
	case strings.HasPrefix(name, prefixOpenAI):
		r.openAI(name, strings.TrimPrefix(name, prefixOpenAI), value, at)
	}
}

// unifiedField splits 7d_sonnet-utilization into window and field.
var unifiedField = regexp.MustCompile(`^([a-z0-9_]+)-(status|utilization|reset)$`)

// unified reads the headers of subscriptions, of which each window has its own.
func (r *reader) unified(name, rest, value string) {
	if rest == "status" {
		if value == "rejected" {
			r.said.Signal = Exhausted
		}
		return
	}
	m := unifiedField.FindStringSubmatch(rest)
	if m == nil || m[1] == "overage" && m[2] == "status" {
		return // about the answer as a whole, or whether extra usage is sold
	}
	windowName, length := unifiedName(m[1])
	w := r.window(windowName)
	w.Length = length
	switch m[2] {
	case "status":
		if value == "rejected" {
			w.Signal = Exhausted
		}
	case "utilization":
		share, err := strconv.ParseFloat(value, 64)
		if n, ok := percentMilli(share, 1); ok && err == nil {
			w.PercentMilli = &n
		} else {
			r.problem(name, value, "a share such as 0.42")
		}
	case "reset":
		r.reset(w, name, value)
	}
}

var (
	unifiedWindow = regexp.MustCompile(`^(\d{1,4})(h|d)(?:_([a-z0-9_]+))?$`)
	claimNames    = map[string]string{"five_hour": "5h", "seven_day": "7d"}
)

// unifiedName is our name of a subscription's window, and how long it lasts where its name says so.
func unifiedName(name string) (string, time.Duration) {
	for long, short := range claimNames {
		if name == long || strings.HasPrefix(name, long+"_") {
			name = short + strings.TrimPrefix(name, long)
		}
	}
	m := unifiedWindow.FindStringSubmatch(name)
	if m == nil {
		return name, 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return name, 0
	}
	length := time.Duration(n) * time.Hour
	if m[2] == "d" {
		length *= 24
	}
	ours := map[string]string{"5h": "session", "7d": "weekly"}[m[1]+m[2]]
	switch {
	case ours == "":
		ours = m[0]
	case m[3] != "":
		ours += "_" + m[3]
	}
	return ours, length
}

// plainNames are our names of the limits of API accounts.
var plainNames = map[string]string{"requests": "requests_per_minute", "tokens": "tokens_per_minute", "input-tokens": "input_per_minute", "output-tokens": "output_per_minute"}

func plainName(name string) string {
	if ours := plainNames[name]; ours != "" {
		return ours
	}
	return name
}

// plain reads Anthropic's limits of API accounts, such as input-tokens-remaining.
func (r *reader) plain(name, rest, prefix, value string) {
	cut := strings.LastIndexByte(rest, '-')
	if cut <= 0 {
		return
	}
	w := r.window(prefix + plainName(rest[:cut]))
	switch rest[cut+1:] {
	case "limit":
		w.Limit = r.count(name, value)
	case "remaining":
		w.Remaining = r.count(name, value)
	case "reset":
		r.reset(w, name, value)
	}
}

// openAI reads x-ratelimit-remaining-tokens and its like; a reset there is a wait.
func (r *reader) openAI(name, rest, value string, at time.Time) {
	field, window, ok := strings.Cut(rest, "-")
	if !ok || window == "" {
		return
	}
	w := r.window(plainName(window))
	switch field {
	case "limit":
		w.Limit = r.count(name, value)
	case "remaining":
		w.Remaining = r.count(name, value)
	case "reset":
		if d, ok := duration(value); ok {
			w.ResetAt = at.Add(d).UTC()
		} else {
			r.problem(name, value, "a wait such as 6m0s or 120ms")
		}
	}
}

func (r *reader) count(name, value string) *int64 {
	n, ok := count(value)
	if !ok {
		r.problem(name, value, "a whole number from 0 on")
		return nil
	}
	return &n
}

func (r *reader) reset(w *Window, name, value string) {
	at, ok := instant(value)
	if !ok {
		r.problem(name, value, "RFC 3339 or seconds since 1970")
		return
	}
	w.ResetAt = at
}
