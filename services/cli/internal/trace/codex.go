package trace

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// codexFallbackModel is the model of calls before a session tells one.
const codexFallbackModel = "gpt-5"

// Codex reads the lines of one session of the Codex CLI in their order: a call is told as a difference to the total of
// the session, and its model by an earlier line. The zero value is at the start of a session; its fields may be kept
// and given back to go on in the middle of one.
type Codex struct {
	Session string     `json:"session,omitzero"`
	Folder  string     `json:"folder,omitzero"`
	Model   string     `json:"model,omitzero"`
	Total   codexUsage `json:"total,omitzero"`
}

type codexLine struct {
	Timestamp string       `json:"timestamp"`
	Type      string       `json:"type"`
	Payload   codexPayload `json:"payload"`
}

type codexPayload struct {
	Type  string     `json:"type"`
	ID    string     `json:"id"`
	Cwd   string     `json:"cwd"`
	Model string     `json:"model"`
	Info  *codexInfo `json:"info"`
}

type codexInfo struct {
	Model string      `json:"model"`
	Last  *codexUsage `json:"last_token_usage"`
	Total *codexUsage `json:"total_token_usage"`
}

// codexUsage counts cached tokens as input and reasoning as output, as the provider does.
type codexUsage struct {
	Input  int64 `json:"input_tokens"`
	Cached int64 `json:"cached_input_tokens"`
	Output int64 `json:"output_tokens"`
}

func (u codexUsage) minus(o codexUsage) codexUsage {
	return codexUsage{u.Input - o.Input, u.Cached - o.Cached, u.Output - o.Output}
}

// tokens gives the classes, which do not overlap.
func (u codexUsage) tokens() (quota.Tokens, error) {
	t := quota.Tokens{Input: u.Input - u.Cached, CacheRead: u.Cached, Output: u.Output}
	for _, n := range []int64{t.Input, t.CacheRead, t.Output} {
		if err := checkTokens("usage", n); err != nil {
			return quota.Tokens{}, err
		}
	}
	return t, nil
}

// Line reads the next line. Call.ID says which call of the session it is: copies of a session in another folder give
// the same ids. The line must not be empty.
func (c *Codex) Line(line []byte) (Call, Reason) {
	var row codexLine
	if line[0] != '{' || json.Unmarshal(line, &row) != nil {
		return Call{}, Unreadable
	}
	p := &row.Payload
	switch {
	case row.Type == "session_meta":
		c.Session, c.Folder = p.ID, p.Cwd
		return Call{}, NoCall
	case row.Type == "turn_context":
		c.Model = firstOf(p.Model, c.Model)
		c.Folder = firstOf(p.Cwd, c.Folder)
		return Call{}, NoCall
	case row.Type != "event_msg" || p.Type != "token_count" || p.Info == nil:
		return Call{}, NoCall
	}
	return c.count(row.Timestamp, p.Info)
}

// count makes the call of a token count. The same total once more is the same call told again.
func (c *Codex) count(timestamp string, info *codexInfo) (Call, Reason) {
	var spent codexUsage
	switch {
	case info.Total != nil && *info.Total == c.Total:
		return Call{}, NoCall
	case info.Last != nil:
		spent = *info.Last
	case info.Total != nil:
		if spent = info.Total.minus(c.Total); spent.Input < 0 || spent.Cached < 0 || spent.Output < 0 {
			spent = *info.Total // the session began to count anew
		}
	default:
		return Call{}, NoCall
	}
	tokens, err := spent.tokens()
	if err != nil {
		return Call{}, Unreadable
	}
	if info.Total != nil {
		c.Total = *info.Total
	}
	at, err := time.Parse(time.RFC3339, timestamp)
	if err != nil {
		at = time.Time{}
	}
	return Call{
		At: at.UTC(), ID: fmt.Sprintf("codex:%s:%s:%d", c.Session, timestamp, c.Total.Input+c.Total.Output), Session: c.Session,
		Model: firstOf(info.Model, firstOf(c.Model, codexFallbackModel)), Tokens: tokens,
	}, IsCall
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
