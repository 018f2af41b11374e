package ledger

import (
	"encoding/binary"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The records that a busy ledger writes most are encoded here by hand, several times faster than by reflection. The
// bytes are the same: TestHandEncodingIsTheSame holds every one of them, with every field set and any left out, to what the
// cbor tags of pkg/quota say. Decoding is by the tags alone.

// The CBOR major types, shifted to where they stand.
const (
	cborUint   = 0 << 5
	cborNegInt = 1 << 5
	cborBytes  = 2 << 5
	cborText   = 3 << 5
	cborArray  = 4 << 5
	cborMap    = 5 << 5
	cborTrue   = 0xf5
)

// appendHeader writes a major type with its number in the shortest form.
func appendHeader(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= 0xff:
		return append(b, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= 0xffff_ffff:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHeader(b, cborNegInt, uint64(-1-n))
	}
	return appendHeader(b, cborUint, uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendHeader(b, cborText, uint64(len(s))), s...)
}

func appendBytes(b, raw []byte) []byte {
	return append(appendHeader(b, cborBytes, uint64(len(raw))), raw...)
}

// fields writes a map with integer keys; what is empty is left out. Keys come in ascending order.
type fields struct {
	b     []byte
	start int // of the map's header
	n     int
}

func newFields(b []byte) fields { return fields{b: append(b, cborMap), start: len(b)} }

func (f *fields) key(k byte) {
	f.n++
	f.b = appendHeader(f.b, cborUint, uint64(k))
}

func (f *fields) int(k byte, n int64) {
	if n != 0 {
		f.key(k)
		f.b = appendInt(f.b, n)
	}
}

func (f *fields) text(k byte, s string) {
	if s != "" {
		f.key(k)
		f.b = appendText(f.b, s)
	}
}

func (f *fields) bool(k byte, set bool) {
	if set {
		f.key(k)
		f.b = append(f.b, cborTrue)
	}
}

func (f *fields) uint(k byte, n uint64) {
	if n != 0 {
		f.key(k)
		f.b = appendHeader(f.b, cborUint, n)
	}
}

func (f *fields) amount(k byte, a quota.Amount) {
	if a != (quota.Amount{}) {
		f.key(k)
		f.b = appendAmount(f.b, a)
	}
}

func (f *fields) tokens(k byte, t quota.Tokens) {
	if t != (quota.Tokens{}) {
		f.key(k)
		f.b = appendClasses(f.b, [5]int64{t.Input, t.CacheRead, t.CacheWrite5m, t.CacheWrite1h, t.Output})
	}
}

func (f *fields) rate(k byte, r quota.Rate) {
	if r != (quota.Rate{}) {
		f.key(k)
		f.b = appendClasses(f.b, [5]int64{r.Input, r.CacheRead, r.CacheWrite5m, r.CacheWrite1h, r.Output})
	}
}

func (f *fields) labels(k byte, l *quota.Labels) {
	if *l == (quota.Labels{}) {
		return
	}
	f.key(k)
	m := newFields(f.b)
	m.text(1, l.Principal)
	m.text(2, l.Agent)
	m.text(3, l.Team)
	m.text(4, l.Provider)
	m.text(5, l.Account)
	m.text(6, l.Model)
	m.text(7, l.TaskType)
	m.text(8, l.Complexity)
	m.int(9, int64(l.Priority))
	m.int(70, l.Files)
	m.int(71, l.Estimated)
	f.b = m.end()
}

func (f *fields) limits(k byte, list []quota.LimitAmount) {
	if len(list) == 0 {
		return
	}
	f.key(k)
	f.b = appendHeader(f.b, cborArray, uint64(len(list)))
	for i := range list {
		m := newFields(f.b)
		m.text(1, list[i].Limit)
		m.int(2, list[i].Amount)
		f.b = m.end()
	}
}

func (f *fields) charges(k byte, list []quota.Charge) {
	if len(list) == 0 {
		return
	}
	f.key(k)
	f.b = appendHeader(f.b, cborArray, uint64(len(list)))
	for i := range list {
		m := newFields(f.b)
		m.text(1, list[i].Limit)
		m.int(2, int64(list[i].Window))
		m.int(3, list[i].Amount)
		m.int(4, list[i].Within)
		f.b = m.end()
	}
}

// end writes the header now that the number of fields is known.
func (f *fields) end() []byte {
	if f.n < 24 {
		f.b[f.start] |= byte(f.n)
		return f.b
	}
	f.b = append(f.b, 0)
	copy(f.b[f.start+2:], f.b[f.start+1:])
	f.b[f.start], f.b[f.start+1] = cborMap|24, byte(f.n)
	return f.b
}

func appendAmount(b []byte, a quota.Amount) []byte {
	f := newFields(b)
	f.tokens(1, a.Tokens)
	f.int(2, a.Requests)
	return f.end()
}

func appendClasses(b []byte, classes [5]int64) []byte {
	f := newFields(b)
	for i, n := range classes {
		f.int(byte(i+1), n)
	}
	return f.end()
}

func appendTotals(b []byte, t *quota.Totals) []byte {
	f := newFields(b)
	for i, n := range [...]int64{
		t.Granted, t.Denied, t.Exhausted, t.Settled, t.Released, t.Expired, t.Revoked, t.Overruns, t.Reserved, t.Used, t.Overrun,
		t.Returned, t.Requests, t.Cost, t.Unpriced, t.UsageEvents, t.Unreserved,
	} {
		f.int(byte(i+1), n)
	}
	for i, n := range [...]int64{t.Queued, t.QueueGranted, t.QueueCancelled, t.QueueTimedOut, t.QueueRefused} {
		f.int(byte(i+40), n)
	}
	f.int(50, t.Preempted)
	f.int(120, t.Shrunk)
	return f.end()
}

func appendHead(b []byte, c *Commit) []byte {
	b = appendHeader(b, cborArray, 7)
	b = appendBytes(b, c.Ledger[:])
	b = appendHeader(b, cborUint, c.Epoch)
	b = appendHeader(b, cborUint, c.Number)
	b = appendBytes(b, c.ID[:])
	b = appendBytes(b, c.Prev[:])
	b = appendInt(b, int64(c.At))
	return appendTotals(b, &c.Totals)
}

func appendAnswer(b []byte, a *Answer) []byte {
	b = appendHeader(b, cborArray, 4)
	b = appendBytes(b, a.Key[:])
	b = appendBytes(b, a.Params[:])
	b = appendInt(b, int64(a.IssuedAt))
	return appendResult(b, &a.Result)
}

func appendResult(b []byte, r *quota.Result) []byte {
	f := newFields(b)
	f.text(1, string(r.Code))
	f.text(2, r.Message)
	f.bool(3, r.Retryable)
	f.int(4, int64(r.RetryAfter))
	f.bool(5, r.Recorded)
	f.text(6, r.Reservation)
	f.text(7, r.Provider)
	f.text(8, r.Account)
	f.text(9, r.Model)
	f.int(10, int64(r.Priority))
	f.amount(11, r.Granted)
	f.amount(12, r.Used)
	f.amount(13, r.Returned)
	f.int(14, r.CostHeld)
	f.int(15, r.CostUsed)
	f.bool(16, r.Unpriced)
	f.int(17, int64(r.Expires))
	f.text(18, string(r.Outcome))
	f.int(19, int64(r.Pace))
	f.text(20, r.Limit)
	f.int(21, r.Requested)
	f.int(22, r.Available)
	f.int(23, r.Capacity)
	f.uint(24, r.Version)
	f.bool(25, r.Effective)
	f.place(40, r.Queue)
	f.alternatives(41, r.Alternatives)
	f.text(60, string(r.Reason))
	f.bool(61, r.Unknown)
	f.int(62, int64(r.ClosedUntil))
	f.int(63, r.HeldBack)
	f.told(110, r.Told)
	return f.end()
}

// appendEvent writes an event's payload; ok is false for the kinds that are rare and left to reflection.
func appendEvent(b []byte, e quota.Event) (_ []byte, ok bool) {
	f := newFields(b)
	switch e := e.(type) {
	case *quota.ReservationGranted:
		f.granted(e)
	case *quota.ReservationDenied:
		f.denied(e)
	case *quota.ReservationExtended:
		f.extended(e)
	case *quota.ReservationRenewed:
		f.int(1, int64(e.At))
		f.text(2, e.Reservation)
		f.int(3, int64(e.Expires))
	case *quota.ReservationClosed:
		f.closed(e)
	case *quota.UsageRecorded:
		f.usage(e)
	default:
		return b, false
	}
	return f.end(), true
}

func (f *fields) granted(e *quota.ReservationGranted) {
	f.int(1, int64(e.At))
	f.text(2, e.Reservation)
	f.labels(3, &e.Labels)
	f.amount(4, e.Amount)
	f.limits(5, e.Holds)
	f.rate(6, e.Rate)
	f.bool(7, e.Unpriced)
	f.int(8, e.CostHeld)
	f.int(9, int64(e.Expires))
	f.int(10, int64(e.Deadline))
	f.int(11, int64(e.Lease))
	f.uint(12, e.Config)
	f.int(40, int64(e.QueuedAt))
	f.bool(41, e.Unclaimed)
	f.bool(42, e.Preemptible)
	f.texts(43, e.Passed)
	f.steps(44, e.Steps)
}

func (f *fields) denied(e *quota.ReservationDenied) {
	f.int(1, int64(e.At))
	f.text(2, e.Reservation)
	f.labels(3, &e.Labels)
	f.amount(4, e.Amount)
	f.text(5, string(e.Code))
	f.text(6, e.Limit)
	f.int(7, e.Requested)
	f.int(8, e.Available)
	f.bool(9, e.Retryable)
	f.int(10, int64(e.RetryAfter))
	f.uint(11, e.Config)
	f.steps(40, e.Steps)
	f.alternatives(41, e.Alternatives)
	f.text(60, string(e.Reason))
	f.int(61, e.HeldBack)
	f.text(62, string(e.Unit))
}

func (f *fields) extended(e *quota.ReservationExtended) {
	f.int(1, int64(e.At))
	f.text(2, e.Reservation)
	f.labels(3, &e.Labels)
	f.amount(4, e.Amount)
	f.limits(5, e.Holds)
	f.int(6, e.CostHeld)
	f.int(7, int64(e.Expires))
	f.texts(100, e.Passed)
}

func (f *fields) closed(e *quota.ReservationClosed) {
	f.int(1, int64(e.At))
	f.text(2, e.Reservation)
	f.labels(3, &e.Labels)
	f.text(4, string(e.Outcome))
	if e.By != (quota.Actor{}) {
		f.key(5)
		by := newFields(f.b)
		by.text(1, e.By.Principal)
		by.text(2, e.By.Agent)
		f.b = by.end()
	}
	f.text(6, e.Reason)
	f.limits(7, e.Returned)
	f.amount(8, e.Granted)
	f.amount(9, e.Used)
	f.int(10, e.CostHeld)
	f.int(11, e.CostUsed)
	f.int(12, int64(e.GrantedAt))
	f.int(13, int64(e.Expires))
}

func (f *fields) usage(e *quota.UsageRecorded) {
	f.int(1, int64(e.At))
	f.text(2, e.Reservation)
	f.text(3, string(e.Standing))
	f.labels(4, &e.Labels)
	f.int(5, int64(e.OccurredAt))
	f.text(6, e.CallID)
	f.tokens(7, e.Tokens)
	f.int(8, e.Requests)
	f.rate(9, e.Rate)
	f.int(10, e.Cost)
	f.bool(11, e.Unpriced)
	f.bool(12, e.Batch)
	f.charges(13, e.Charges)
	f.int(14, int64(e.GrantedAt))
	f.int(15, e.Overrun)
	f.text(16, e.Source)
	f.text(17, e.Session)
	f.text(18, e.Project)
}
