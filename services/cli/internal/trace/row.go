package trace

import "encoding/json"

// Reason says what a line of a transcript is.
type Reason string

// The reasons.
const (
	IsCall     Reason = ""          // the line tells a call
	NoCall     Reason = "other"     // it is of a kind that spends nothing
	Unreadable Reason = "malformed" // it cannot be read
	Synthetic  Reason = "synthetic" // the program wrote it itself and sent it to no provider
)

// Row is one line of a Claude Code transcript that tells a call, with what decides whether two lines tell the same.
type Row struct {
	Call      Call   // Call.ID is the message's id
	Request   string // the provider's request id
	Sidechain bool   // of a side conversation, which may replay the main one
	Speed     bool   // the row tells the speed tier, hence is a complete one
	Folder    string // where the program worked; empty where the line does not tell
}

// ParseClaudeCode reads one line. The line must not be empty.
func ParseClaudeCode(line []byte) (Row, Reason) {
	var row transcriptRow
	if line[0] != '{' || json.Unmarshal(line, &row) != nil {
		if spendsNothing(line) {
			return Row{}, NoCall
		}
		return Row{}, Unreadable
	}
	// Some transcripts do not tell the type; what counts is that usage is there.
	if row.Message.Usage == nil || row.Type != "assistant" && row.Type != "" {
		return Row{}, NoCall
	}
	if row.Message.Model == syntheticModel {
		return Row{}, Synthetic
	}
	tokens, ok := row.Message.Usage.tokens()
	if !ok {
		return Row{}, Unreadable
	}
	return Row{
		Call:      Call{At: row.at(), ID: row.Message.ID, Session: row.SessionID, Model: row.Message.Model, Tokens: tokens},
		Request:   row.RequestID,
		Sidechain: row.Sidechain,
		Speed:     row.Message.Usage.Speed != nil,
		Folder:    row.Folder,
	}, IsCall
}
