package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// FuzzDecodeRequest: whatever a stranger sends is either refused as invalid or reads the same after a round trip, with
// the same parameters. What we accept is JSON to everybody else too.
func FuzzDecodeRequest(f *testing.F) {
	kinds := []Kind{KindAgent, KindAdmin, KindQuery}
	verbs := [][]string{AgentVerbs(), AdminVerbs(), QueryVerbs()}
	for k, kind := range kinds {
		for v, verb := range verbs[k] {
			for _, class := range []string{"valid", "invalid"} {
				for _, data := range readExamples(f, string(kind)+"."+verb+".request", class) {
					f.Add(uint8(k), uint8(v), data)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, k, v uint8, data []byte) {
		i := int(k) % len(kinds)
		kind, verb := kinds[i], verbs[i][int(v)%len(verbs[i])]
		r, err := DecodeRequest(kind, verb, data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v is not invalid", err)
			}
			return
		}
		if len(data) > 0 && !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		encoded := r.Append(nil)
		again, err := DecodeRequest(kind, verb, encoded)
		if err != nil || !bytes.Equal(again.Append(nil), encoded) {
			t.Fatalf("%q is written as %q, which reads as %+v, %v", data, encoded, again, err)
		}
		if m, ok := r.(Mutation); ok && (m.ParamsHash() != again.(Mutation).ParamsHash() || m.ID() == RequestID{}) {
			t.Fatalf("%q does not keep its parameters or has no request id", data)
		}
	})
}

// FuzzDecodeReply: a reply is read, is a refusal, or is an error; never a panic, and never both.
func FuzzDecodeReply(f *testing.F) {
	for _, c := range contracts() {
		for _, class := range []string{"valid", "invalid"} {
			for _, data := range readExamples(f, c.name, class) {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, reply := range []any{new(ReservationReply), new(StatusReply), new(AccountsReply), new(Notice)} {
			_, err := DecodeReply(data, reply)
			if err == nil && !json.Valid(data) {
				t.Fatalf("%T accepted what is not JSON: %q", reply, data)
			}
			if refused, ok := errors.AsType[*Error](err); ok {
				body := (&ErrorReply{Error: *refused}).Append(nil)
				if _, again := DecodeReply(body, reply); !errors.Is(again, SentinelOf(refused.Code)) {
					t.Fatalf("%q is written as %q, which reads as %v", data, body, again)
				}
			}
		}
	})
}

// FuzzDecodeEvent: an event that is read is written the same again.
func FuzzDecodeEvent(f *testing.F) {
	for _, e := range everyEvent() {
		for _, class := range []string{"valid", "invalid"} {
			for _, data := range readExamples(f, "event."+e.Kind(), class) {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := DecodeEvent(data)
		if err != nil {
			return
		}
		if e.Data == nil {
			e.Data = json.RawMessage("null")
		}
		again, err := DecodeEvent(e.Append(nil))
		if err != nil || again.ID != e.ID || again.Kind() != e.Kind() || again.Time != e.Time || again.CommitNumber() != e.CommitNumber() {
			t.Fatalf("%q is read as %+v, then as %+v, %v", data, e, again, err)
		}
	})
}

// FuzzRequestID: what is accepted as a request id is a UUIDv7 of 36 characters.
func FuzzRequestID(f *testing.F) {
	f.Add(testID)
	f.Add("0195F3C2-7B1E-7A44-9D0B-3F6F2A7C5E10")
	f.Add("urn:uuid:0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseRequestID(s)
		if err != nil {
			return
		}
		if again, err := ParseRequestID(id.String()); err != nil || again != id || s[14] != '7' || len(s) != 36 || id.Made() < 0 {
			t.Fatalf("%q is read as %s, %v", s, id, err)
		}
	})
}

// FuzzEachMany: replies that come together are read as they were sent, whatever else is in the message; numbers and
// bodies that nobody sent do no harm.
func FuzzEachMany(f *testing.F) {
	f.Add([]byte("1 {}\n22 {\"a\":1}\n"), "7", []byte(`{"error":{}}`))
	f.Add([]byte("\n \n1\n"), "", []byte{})
	f.Add([]byte("1 cut off"), "9x", []byte("\r"))
	f.Fuzz(func(t *testing.T, before []byte, number string, body []byte) {
		if len(before) > 0 && before[len(before)-1] != lineEnd {
			before = append(before, lineEnd)
		}
		type reply struct{ number, body string }
		all := func(data []byte) (list []reply) {
			EachMany(data, func(number, body []byte) { list = append(list, reply{string(number), string(body)}) })
			return list
		}
		others := all(before)
		if strings.ContainsAny(number, " \n") || bytes.IndexByte(body, lineEnd) >= 0 {
			return // no reply has that: a number is a token of a subject, and JSON is written on one line
		}
		got := all(AppendMany(before, number, func(b []byte) []byte { return append(b, body...) }))
		if want := append(others, reply{number, string(body)}); !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// FuzzInboxPrefix: a prefix that is read is that of the names that were read from it.
func FuzzInboxPrefix(f *testing.F) {
	f.Add("_INBOX.acme.ci")
	f.Add("_INBOX.=.a=2Eb")
	f.Fuzz(func(t *testing.T, prefix string) {
		workspace, principal, err := ParseInboxPrefix(prefix)
		if err != nil {
			return
		}
		if again, err := InboxPrefix(workspace, principal); err != nil || again != prefix {
			t.Fatalf("%q is of %q and %q, whose prefix is %q, %v", prefix, workspace, principal, again, err)
		}
	})
}
