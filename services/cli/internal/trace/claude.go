package trace

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// syntheticModel is the model of rows that Claude Code wrote itself, for instance in place of an API error.
const syntheticModel = "<synthetic>"

// transcriptRow is one line of a transcript, as far as spending goes.
type transcriptRow struct {
	Type      string            `json:"type"`
	Timestamp string            `json:"timestamp"`
	SessionID string            `json:"sessionId"`
	RequestID string            `json:"requestId"`
	Sidechain bool              `json:"isSidechain"`
	Folder    string            `json:"cwd"`
	Message   transcriptMessage `json:"message"`
}

type transcriptMessage struct {
	ID    string           `json:"id"`
	Model string           `json:"model"`
	Usage *transcriptUsage `json:"usage"`
}

type transcriptUsage struct {
	Input         int64   `json:"input_tokens"`
	CacheCreation int64   `json:"cache_creation_input_tokens"`
	CacheRead     int64   `json:"cache_read_input_tokens"`
	Output        int64   `json:"output_tokens"`
	Speed         *string `json:"speed"`
	Split         struct {
		FiveMinutes int64 `json:"ephemeral_5m_input_tokens"`
		OneHour     int64 `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
}

// tokens gives the usage by class. What was written to the cache without saying for how long counts as five
// minutes, the provider's default.
func (u *transcriptUsage) tokens() (t quota.Tokens, ok bool) {
	for _, n := range []int64{u.Input, u.CacheCreation, u.CacheRead, u.Output, u.Split.FiveMinutes, u.Split.OneHour} {
		if checkTokens("usage", n) != nil {
			return quota.Tokens{}, false
		}
	}
	written := max(u.CacheCreation, u.Split.FiveMinutes+u.Split.OneHour)
	t = quota.Tokens{
		Input:        u.Input,
		CacheRead:    u.CacheRead,
		CacheWrite5m: written - u.Split.OneHour,
		CacheWrite1h: u.Split.OneHour,
		Output:       u.Output,
	}
	return t, checkTokens("usage", t.CacheWrite5m) == nil
}

// transcript collects the calls of transcripts. One answer of the API stands on several lines, one per block
// of its content, each with the usage known when it was written; resumed and forked sessions copy lines into
// other files. So a call is known by message id and request id, and the row that tells most is kept: early
// rows may hold a placeholder for the output.
type transcript struct {
	skipped Skipped
	seen    []*sighting
	byKey   map[callKey]*sighting
	// byMessage finds the one kept sighting of a message, whatever its request id: a side question replays the
	// main conversation under a request id of its own.
	byMessage map[string][]*sighting
}

type callKey struct{ message, request string }

// sighting is the best row of one call so far.
type sighting struct {
	call      Call
	request   string
	sidechain bool
	speed     bool // the row tells the speed tier, hence is a complete one
}

func newTranscript() *transcript {
	return &transcript{byKey: map[callKey]*sighting{}, byMessage: map[string][]*sighting{}}
}

func (t *transcript) read(r io.Reader) error {
	lines := newLines(r)
	for {
		line, tooLong, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case tooLong:
			t.skipped.Malformed++
		case len(line) > 0:
			if err := t.add(line); err != nil {
				return err
			}
		}
	}
}

// add takes one line.
func (t *transcript) add(line []byte) error {
	row, reason := ParseClaudeCode(line)
	switch reason {
	case NoCall:
		t.skipped.Other++
		return nil
	case Unreadable:
		t.skipped.Malformed++
		return nil
	case Synthetic:
		t.skipped.Synthetic++
		return nil
	}
	if len(t.seen) == MaxCalls {
		return ErrTooLong
	}
	t.merge(&sighting{call: row.Call, request: row.Request, sidechain: row.Sidechain, speed: row.Speed})
	return nil
}

// at gives the time of the row; a row that tells none, or none that can be read, has still spent.
func (r *transcriptRow) at() time.Time {
	at, err := time.Parse(time.RFC3339, r.Timestamp)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// spendsNothing tells rows of another kind, whose message is of another shape, from broken lines.
func spendsNothing(line []byte) bool {
	var row struct {
		Type string `json:"type"`
	}
	return line[0] == '{' && json.Unmarshal(line, &row) == nil && row.Type != "assistant" && row.Type != ""
}

// id is the provider's request id, which other sources of the same call (telemetry, headers) tell too; the message's
// id where it tells none, and both where one request id stands with several messages. A call without a message id
// cannot be told from another one.
func (s *sighting) id(uses map[string]int) string {
	switch {
	case s.call.ID == "":
		return ""
	case s.request == "":
		return s.call.ID
	case uses[s.request] > 1:
		return s.request + "/" + s.call.ID
	}
	return s.request
}

// merge keeps one sighting per call.
func (t *transcript) merge(s *sighting) {
	if s.call.ID == "" { // nothing tells whether it was seen before
		t.seen = append(t.seen, s)
		return
	}
	key := callKey{s.call.ID, s.request}
	known := t.byKey[key]
	if known == nil {
		known = t.replayed(s)
	}
	if known == nil {
		t.byKey[key] = s
		t.byMessage[s.call.ID] = append(t.byMessage[s.call.ID], s)
		t.seen = append(t.seen, s)
		return
	}
	t.skipped.Repeated++
	t.byKey[key] = known
	if s.better(known) {
		*known = *s
	}
}

// replayed finds the sighting of the same message under another request id where either is of a side
// conversation.
func (t *transcript) replayed(s *sighting) *sighting {
	for _, other := range t.byMessage[s.call.ID] {
		if s.sidechain || other.sidechain {
			return other
		}
	}
	return nil
}

// better tells whether s is to be kept instead of known. The main conversation wins over a side one, then the
// larger total, then the row that tells the speed tier.
func (s *sighting) better(known *sighting) bool {
	if s.request != known.request && s.sidechain != known.sidechain {
		return known.sidechain
	}
	if mine, theirs := s.call.Tokens.Total(), known.call.Tokens.Total(); mine != theirs {
		return mine > theirs
	}
	return s.speed && !known.speed
}

func (t *transcript) trace() *Trace {
	uses := map[string]int{}
	for _, s := range t.seen {
		uses[s.request]++
	}
	calls := make([]Call, len(t.seen))
	for i, s := range t.seen {
		calls[i] = s.call
		calls[i].ID = s.id(uses)
	}
	byTime(calls)
	return &Trace{Calls: calls, Skipped: t.skipped}
}
