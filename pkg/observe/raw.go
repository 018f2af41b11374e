package observe

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Provider names whose answer something is, where the headers of several may stand side by side: gateways add those of
// one provider to the answers of another.
type Provider string

// The providers whose words are understood.
const (
	Anthropic Provider = "anthropic"
	OpenAI    Provider = "openai" // and what speaks like it
	Codex     Provider = "codex"
)

// Providers lists them.
func Providers() []string { return []string{string(Anthropic), string(OpenAI), string(Codex)} }

// Raw is what a provider said, as it came, in one of three ways: a response, a status line, or a log.
type Raw struct {
	Provider Provider // whose headers count; empty for all that are understood
	// A response: its status (0 where not told), headers, and of a refusal the body, of which a prefix will do.
	Status  int
	Headers map[string]string
	Body    []byte
	// StatusLine is the JSON that Claude Code gives its status line command.
	StatusLine []byte
	// CodexLimits is a rate_limits object of Codex's session log.
	CodexLimits []byte
}

// Read understands what was said at this time.
func (w *Raw) Read(at time.Time) *Said {
	switch {
	case len(w.StatusLine) > 0:
		return StatusLine(w.StatusLine)
	case len(w.CodexLimits) > 0:
		return CodexLimits(w.CodexLimits, at)
	}
	h := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		h[name] = []string{w.Headers[name]}
	}
	flat := flatten(h)
	maps.DeleteFunc(flat, func(name, _ string) bool { return !w.Provider.says(name) })
	r := newReader(SourceHeaders)
	r.flatHeaders(flat, at)
	r.refusal(w.Status, w.Body)
	return r.done()
}

// families are the providers and the beginnings of the headers in which they tell of limits.
var families = []struct {
	provider Provider
	prefix   string
}{
	{Anthropic, prefixAnthropic}, {Anthropic, prefixPriority}, {Anthropic, prefixFast}, {OpenAI, prefixOpenAI}, {Codex, prefixCodex},
}

// says tells whether a header, in small letters, is the provider's. Headers that no provider owns are everybody's.
func (p Provider) says(name string) bool {
	for _, f := range families {
		if strings.HasPrefix(name, f.prefix) {
			return p == "" || p == f.provider
		}
	}
	return true
}

// Relevant picks the headers that tell of limits, in small letters: what is worth handing on of a response, whose other
// headers concern nobody.
func Relevant(h http.Header) map[string]string {
	flat := flatten(h)
	maps.DeleteFunc(flat, func(name, _ string) bool {
		if name == "retry-after" || name == "retry-after-ms" {
			return false
		}
		for _, f := range families {
			if strings.HasPrefix(name, f.prefix) {
				return false
			}
		}
		return true
	})
	return flat
}
