package wire

import (
	"bytes"
	"maps"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

func TestSplitMany(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, reply, inbox, number string
		ok                         bool
	}{
		{"asked for", "_INBOX.acme.ci.x1._many.17", "_INBOX.acme.ci.x1._many.", "17", true},
		{"directly below the prefix", "_INBOX.acme.ci._many.a", "_INBOX.acme.ci._many.", "a", true},
		{"the number of a message with several", "_INBOX.acme.ci.x1._many.0", "", "", false},
		{"an inbox as any client makes it", "_INBOX.acme.ci.x1.17", "", "", false},
		{"a principal of that name", "_INBOX.acme.many.17", "", "", false},
		{"a token that only ends so", "_INBOX.acme.ci.x_many.17", "", "", false},
		{"one token", "_many", "", "", false},
		{"nothing", "", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inbox, number, ok := SplitMany(tt.reply)
			if inbox != tt.inbox || number != tt.number || ok != tt.ok {
				t.Fatalf("got %q, %q, %v", inbox, number, ok)
			}
			if ok && (!IsMany(ManySubject(inbox), inbox) || IsMany(tt.reply, inbox) || !ReplyBelow("_INBOX.acme.ci", ManySubject(inbox))) {
				t.Errorf("several would go to %q", ManySubject(inbox))
			}
		})
	}
}

// What was appended is read again, whatever texts a reply has, and what is no reply is passed over.
func TestManyReplies(t *testing.T) {
	t.Parallel()
	result := &quota.Result{Reservation: "a\nb", Model: "1 {}\n2 {}\n", Account: "\u2028 \r\n"}
	want := map[string][]byte{
		"1":  AppendResult(nil, &ReleaseRequest{}, result, []quota.Notice{{ID: 1, Reason: "line\nfeed"}}),
		"x9": AppendResult(nil, &ObserveRequest{}, result, nil),
		"33": {},
	}
	data := []byte("\nno-reply\n")
	for number, body := range want {
		data = AppendMany(data, number, func(b []byte) []byte { return append(b, body...) })
	}
	got := map[string][]byte{}
	EachMany(data, func(number, body []byte) { got[string(number)] = body })
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
}
