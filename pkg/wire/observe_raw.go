package wire

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/bursarhq/bursar/pkg/observe"
	"github.com/bursarhq/bursar/pkg/quota"
)

// Bounds of what a provider said as it came.
const (
	MaxHeaders     = 256             // of one response
	MaxHeaderBytes = 16 << 10        // of one header's value
	MaxRawBytes    = observe.MaxBody // of a body, a status line or a log entry
	leastStatus    = 100             // of HTTP
	mostStatus     = 599
)

// RawObservation is what a provider said, as it came, in one of three ways: a response (headers, status, body), a status
// line of Claude Code, or a rate_limits object of Codex's session log. The allocator reads it.
type RawObservation struct {
	// Provider is whose headers count, where those of several may stand side by side: anthropic, openai or codex.
	Provider string            `json:"provider,omitzero"`
	Status   int64             `json:"status,omitzero"` // of the response
	Headers  map[string]string `json:"headers,omitzero"`
	Body     string            `json:"body,omitzero"` // of a refusal (429, 529); its first 64 KiB will do
	// StatusLine is the JSON that Claude Code gives its status line command.
	StatusLine json.RawMessage `json:"status_line,omitzero"`
	// CodexLimits is the object rate_limits of an event token_count.
	CodexLimits json.RawMessage `json:"codex_limits,omitzero"`
}

// ObservedWindow is what became of one window that a provider told of.
type ObservedWindow struct {
	Window      string      `json:"window"` // empty where a refusal named none
	Said        Observation `json:"said"`   // as it was understood
	LimitID     string      `json:"limit_id,omitzero"`
	Effective   bool        `json:"effective,omitzero"`
	Unknown     bool        `json:"unknown,omitzero"`
	Capacity    int64       `json:"capacity,omitzero"`
	ClosedUntil Time        `json:"closed_until,omitzero"`
	Code        string      `json:"code,omitzero"` // why this window was not taken
	Message     string      `json:"message,omitzero"`
}

// ObserveProblem is a field that could not be read; what stood beside it counts all the same.
type ObserveProblem struct {
	Field string `json:"field"`
	Value string `json:"value"` // what stood there, shortened
	Want  string `json:"want"`  // what would have been understood
}

// RawOf gives what was said in the form that pkg/observe reads.
func (r *RawObservation) rawOf() *observe.Raw {
	return &observe.Raw{
		Provider: observe.Provider(r.Provider), Status: int(r.Status), Headers: r.Headers, Body: []byte(r.Body),
		StatusLine: r.StatusLine, CodexLimits: r.CodexLimits,
	}
}

// Observed is a raw observation that was read: the command, what could not be read, and what was said of each window.
type Observed struct {
	Command quota.ObserveAll // of no window where nothing was told
	said    *observe.Said
}

// ReadRaw reads the raw form. now is when it was said, unless the request says when; it is the base of relative resets, so
// that a sender who asks again should tell observed_at.
func (r *ObserveRequest) ReadRaw(by quota.Actor, now time.Time) *Observed {
	if r.ObservedAt != 0 {
		now = r.ObservedAt.Time()
	}
	said := r.Raw.rawOf().Read(now)
	source := r.Source
	if source == "" {
		source = said.Source
	}
	base := quota.Observe{Source: source, At: quota.InstantOf(now), Model: r.Model}
	o := &Observed{Command: quota.ObserveAll{Actor: by, Account: r.Account}, said: said}
	for i := range said.Windows {
		if one := observeOf(base, &said.Windows[i], said.RetryAfter); one.Signal != "" || tellsOf(&one) {
			o.Command.Said = append(o.Command.Said, one)
		}
	}
	if said.Signal != "" {
		one := base
		one.Signal, one.RetryAfter = quota.Signal(said.Signal), quota.Millis(said.RetryAfter.Milliseconds())
		o.Command.Said = append(o.Command.Said, one)
	}
	return o
}

// tellsOf says whether an observation tells anything that the ledger takes; remaining without a limit it does not.
func tellsOf(o *quota.Observe) bool {
	return o.Used != nil || o.PercentMilli != nil || o.Capacity != nil || o.ResetAt != 0
}

func observeOf(o quota.Observe, w *observe.Window, retry time.Duration) quota.Observe {
	o.Window, o.Signal, o.PercentMilli = w.Name, quota.Signal(w.Signal), w.PercentMilli
	o.Length = min(quota.Millis(w.Length.Milliseconds()), quota.MaxWindowLength)
	if !w.ResetAt.IsZero() {
		o.ResetAt = quota.InstantOf(w.ResetAt)
	}
	if w.Signal != "" {
		o.RetryAfter = min(quota.Millis(retry.Milliseconds()), quota.MaxClosed)
	}
	if w.Limit != nil {
		n := min(*w.Limit, quota.MaxCapacity)
		o.Capacity = &n
		if w.Remaining != nil {
			used := max(0, n-*w.Remaining)
			o.Used = &used
		}
	}
	return o
}

// Reply makes the reply to a raw observation whose result is in the ledger, or of one that told of no window (an empty
// result).
func (o *Observed) Reply(r *quota.Result, notices []Notice) ObserveReply {
	reply := ObserveReplyOf(r, notices)
	reply.Account = o.Command.Account
	reply.Windows = []ObservedWindow{}
	for i := range o.Command.Said {
		said := &o.Command.Said[i]
		w := ObservedWindow{Window: said.Window, Said: observedOf(said)}
		if i < len(r.Told) {
			t := &r.Told[i]
			w.LimitID, w.Effective, w.Unknown, w.Capacity = t.Limit, t.Effective, t.Unknown, t.Capacity
			w.ClosedUntil, w.Code, w.Message = TimeOf(t.ClosedUntil), string(t.Code), t.Message
		}
		reply.Windows = append(reply.Windows, w)
	}
	for _, p := range o.said.Problems {
		reply.Problems = append(reply.Problems, ObserveProblem(p))
	}
	reply.Terminal, reply.Reason = o.said.Terminal, o.said.Reason
	return reply
}

func observedOf(o *quota.Observe) Observation {
	v := Observation{
		Used: o.Used, UsedPercent: (*Percent)(o.PercentMilli), ResetsAt: TimeOf(o.ResetAt), Source: o.Source, ObservedAt: TimeOf(o.At),
		Signal: string(o.Signal), RetryAfterMS: int64(o.RetryAfter), WindowMS: int64(o.Length),
	}
	if o.Capacity != nil {
		v.Capacity = *o.Capacity
	}
	return v
}

var rawObservationObject = object[RawObservation]{
	choice("provider", observe.Providers(), func(r *RawObservation) *string { return &r.Provider }),
	integer("status", leastStatus, mostStatus, func(r *RawObservation) *int64 { return &r.Status }),
	texts("headers", func(r *RawObservation) *map[string]string { return &r.Headers }),
	text("body", MaxRawBytes, func(r *RawObservation) *string { return &r.Body }),
	document("status_line", func(r *RawObservation) *json.RawMessage { return &r.StatusLine }),
	document("codex_limits", func(r *RawObservation) *json.RawMessage { return &r.CodexLimits }),
}

// rawObservation is the raw form within an observe: one way of saying it, and no more.
func rawObservation(at func(*ObserveRequest) **RawObservation) field[ObserveRequest] {
	f := pointer("raw", rawObservationObject, at)
	f.read = func(d *decoder, v *ObserveRequest) {
		raw := new(RawObservation)
		*at(v) = raw
		rawObservationObject.decode(d, raw)
		ways := 0
		for _, given := range []bool{raw.Headers != nil || raw.Status != 0 || raw.Body != "", raw.StatusLine != nil, raw.CodexLimits != nil} {
			if given {
				ways++
			}
		}
		switch {
		case d.failed != nil:
		case ways != 1:
			d.fail("say it in one way: a response (headers, status, body), status_line or codex_limits")
		case raw.Body != "" && raw.Status == 0:
			d.fail("a body says nothing without its status")
		}
	}
	return f
}

// texts is an object of texts: the headers of a response.
func texts[T any](name string, at func(*T) *map[string]string) field[T] {
	return field[T]{
		name: name,
		read: func(d *decoder, v *T) { *at(v) = d.texts() },
		write: func(b []byte, v *T) []byte {
			b = append(b, '{')
			for i, key := range slices.Sorted(maps.Keys(*at(v))) {
				if i > 0 {
					b = append(b, ',')
				}
				b = append(appendText(b, key), ':')
				b = appendText(b, (*at(v))[key])
			}
			return append(b, '}')
		},
		empty: func(v *T) bool { return *at(v) == nil },
	}
}

func (d *decoder) texts() map[string]string {
	read := map[string]string{}
	if !d.enter('{', "an object of texts") {
		return read
	}
	for first := true; d.more(first, '}'); first = false {
		key := string(d.key())
		switch {
		case d.failed != nil:
			return read
		case len(read) >= MaxHeaders:
			d.fail("has more than %d members; those that tell of limits will do", MaxHeaders)
			return read
		case len(key) > MaxTextBytes:
			d.fail("has a name of %d bytes, at most %d are allowed", len(key), MaxTextBytes)
			return read
		}
		if _, twice := read[key]; twice {
			d.fail("%q stands there twice", key)
			return read
		}
		if read[key] = d.text(MaxHeaderBytes); d.failed != nil {
			d.failed.within(strconv.Quote(key))
			return read
		}
	}
	return read
}

// document is an object of a form that is not ours, kept as it came but for its spaces.
func document[T any](name string, at func(*T) *json.RawMessage) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { *at(v) = d.document(MaxRawBytes) },
		write: func(b []byte, v *T) []byte { return append(b, *at(v)...) },
		empty: func(v *T) bool { return *at(v) == nil },
	}
}

func (d *decoder) document(most int) json.RawMessage {
	if c := d.peek(); c != '{' {
		d.fail("must be an object, not %s", d.describe())
		return nil
	}
	start := d.pos
	d.skip()
	if d.failed == nil && d.pos-start > most {
		d.fail("has %d bytes, at most %d are allowed", d.pos-start, most)
	}
	if d.failed != nil {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, d.data[start:d.pos]); err != nil {
		d.fail("not valid JSON: %v", err)
	}
	return compact.Bytes()
}
