package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/bursarhq/bursar/services/page/internal/live"
)

// Bounds and timing of streams.
const (
	maxLookers = 64
	heartbeat  = 10 * time.Second       // a proxy or a browser takes a longer silence for the end
	gather     = 200 * time.Millisecond // changes that come close together are one message
	retry      = time.Second            // what a browser waits before it connects again
	maxAfter   = 256                    // bytes of an id of an event
)

// hello is the first message: with what the page that is loaded can be compared.
type hello struct {
	Build   string `json:"build"`
	Version string `json:"version"`
	Now     int64  `json:"now_ms"` // this machine's clock, in milliseconds of the epoch
}

// batch is a message of events.
type batch struct {
	Events []json.RawMessage `json:"events"`
	Reset  bool              `json:"reset,omitzero"`  // forget those before
	Missed uint64            `json:"missed,omitzero"` // that many are left out
}

// stream sends what changes until the browser goes away. It goes on behind the event that Last-Event-ID names, or the
// parameter "after" where a page connects anew by itself.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.lookers <- struct{}{}:
		defer func() { <-s.lookers }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d pages are open already; close some", maxLookers), http.StatusServiceUnavailable)
		return
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = r.FormValue("after")
	}
	if len(after) > maxAfter {
		after = ""
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	cursor := s.Board.Join(after)
	defer s.Board.Leave()
	out := &messages{w: w, control: http.NewResponseController(w)}
	out.retry(retry)
	out.add("hello", "", hello{s.assets.build, s.Version, time.Now().UnixMilli()})
	if err := out.send(); err != nil {
		return
	}
	s.follow(r.Context(), out, cursor)
}

// follow sends updates as they come, and a sign of life where none do.
func (s *Server) follow(ctx context.Context, out *messages, cursor *live.Cursor) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		update, changed := s.Board.Look(cursor)
		out.addUpdate(&update)
		if err := out.send(); err != nil {
			s.Log.Debug("a page went away", "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			out.beat()
			continue
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(gather):
		}
	}
}

// messages writes server-sent events. The first error stays.
type messages struct {
	w       http.ResponseWriter
	control *http.ResponseController
	buffer  bytes.Buffer
	err     error
}

func (m *messages) retry(after time.Duration) {
	fmt.Fprintf(&m.buffer, "retry: %d\n\n", after.Milliseconds())
}

// beat adds a message that browsers pass over in silence but for the page's own watch.
func (m *messages) beat() { m.buffer.WriteString("event: beat\ndata: 0\n\n") }

func (m *messages) addUpdate(u *live.Update) {
	if u.State != nil {
		m.addLine("state", "", u.State)
	}
	if u.Advice != nil {
		m.addLine("advice", "", u.Advice)
	}
	if len(u.Events) > 0 || u.Reset || u.Missed > 0 {
		events := u.Events
		if events == nil {
			events = []json.RawMessage{}
		}
		m.add("events", u.LastID, batch{Events: events, Reset: u.Reset, Missed: u.Missed})
	}
}

func (m *messages) add(kind, id string, body any) {
	line, err := json.Marshal(body)
	if err != nil {
		m.err = fmt.Errorf("encode a message: %w", err)
		return
	}
	m.addLine(kind, id, line)
}

// addLine adds a message whose body is one line.
func (m *messages) addLine(kind, id string, line []byte) {
	fmt.Fprintf(&m.buffer, "event: %s\n", kind)
	if id != "" {
		fmt.Fprintf(&m.buffer, "id: %s\n", id)
	}
	m.buffer.WriteString("data: ")
	m.buffer.Write(line)
	m.buffer.WriteString("\n\n")
}

// send writes what was added. A browser that takes nothing for a while is given up.
func (m *messages) send() error {
	if m.err != nil || m.buffer.Len() == 0 {
		return m.err
	}
	if m.err = m.control.SetWriteDeadline(time.Now().Add(writeTimeout)); m.err != nil {
		return m.err
	}
	if _, m.err = m.w.Write(m.buffer.Bytes()); m.err == nil {
		m.err = m.control.Flush()
	}
	m.buffer.Reset()
	return m.err
}
