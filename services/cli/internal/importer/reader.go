package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bursarhq/bursar/services/cli/internal/trace"
)

// row is one line of a log that tells a call.
type row struct {
	trace.Row
	// known are rows whose Call.ID stands for the whole identity; of others the message and the request do.
	known   bool
	project string
}

// reader reads the lines of one file in their order.
type reader interface {
	// line reads the line that begins at offset.
	line(line []byte, offset int64) (row, trace.Reason)
	// state is what is needed to go on after the last line.
	state() readerState
}

// readerState is what a reader needs to go on in the middle of a file.
type readerState struct {
	Codex trace.Codex `json:"codex,omitzero"`
}

// claudeCode reads Claude Code's transcripts.
type claudeCode struct{ file string }

func newClaudeCode(file string, _ readerState) reader { return &claudeCode{file} }

func (c *claudeCode) state() readerState { return readerState{} }

func (c *claudeCode) line(line []byte, offset int64) (row, trace.Reason) {
	read, reason := trace.ParseClaudeCode(line)
	r := row{Row: read, project: read.Folder}
	if r.project == "" {
		r.project = filepath.Base(filepath.Dir(c.file))
	}
	if r.Call.Session == "" {
		r.Call.Session = session(c.file)
	}
	if r.Call.ID == "" {
		// Nothing tells whether another line tells the same call, so each counts; its place makes it one for good.
		r.Call.ID, r.known = placeID(c.file, line, offset), true
	}
	return r, reason
}

// codex reads the sessions of the Codex CLI.
type codex struct{ read trace.Codex }

func newCodex(file string, kept readerState) reader {
	if kept.Codex.Session == "" {
		kept.Codex.Session = strings.TrimPrefix(session(file), "rollout-")
	}
	return &codex{kept.Codex}
}

func (c *codex) state() readerState { return readerState{Codex: c.read} }

func (c *codex) line(line []byte, _ int64) (row, trace.Reason) {
	call, reason := c.read.Line(line)
	return row{Row: trace.Row{Call: call}, known: true, project: c.read.Folder}, reason
}

// session is the name of a log without its folder and its ending.
func session(file string) string { return strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)) }

func placeID(file string, line []byte, offset int64) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %d ", filepath.Base(file), offset)
	hash.Write(line)
	return "line:" + hex.EncodeToString(hash.Sum(nil)[:16])
}
