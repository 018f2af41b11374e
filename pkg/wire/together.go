package wire

import (
	"bytes"
	"strings"
)

// A client that awaits the replies to many requests on one subscription may have those that are ready at the same time
// sent together: its reply subjects end in "_many" and a number of its own, and several replies come as one message to the
// same subject with the number 0. Each of them is a line: the number, a space, and the body, in which no line ends. No name
// begins with "_" in a subject, so nobody's inbox looks like that without being meant to.
const (
	manyToken  = "._many."
	manyNumber = "0"
	lineEnd    = '\n'
)

// ManyInbox gives what the reply subjects of an inbox begin with where replies may come together. A number of the client
// follows, any token but "0".
func ManyInbox(inbox string) string { return inbox + manyToken }

// SplitMany takes a reply subject apart: where several replies go, and the number of this one. It gives false where the
// requester did not ask for that.
func SplitMany(reply string) (inbox, number string, ok bool) {
	dot := strings.LastIndexByte(reply, '.')
	if dot < 0 || !strings.HasSuffix(reply[:dot+1], manyToken) || reply[dot+1:] == manyNumber {
		return "", "", false
	}
	return reply[:dot+1], reply[dot+1:], true
}

// ManySubject is where several replies go.
func ManySubject(inbox string) string { return inbox + manyNumber }

// IsMany tells whether a message below an inbox of [ManyInbox] has several replies.
func IsMany(subject, inbox string) bool { return subject[len(inbox):] == manyNumber }

// AppendMany appends a reply to others; body appends what it says.
func AppendMany(b []byte, number string, body func([]byte) []byte) []byte {
	b = append(append(b, number...), ' ')
	return append(body(b), lineEnd)
}

// EachMany gives each reply of a message, with its number. What is no reply is passed over.
func EachMany(data []byte, each func(number, body []byte)) {
	for line := range bytes.Lines(data) {
		if number, body, ok := bytes.Cut(line, []byte{' '}); ok {
			each(number, bytes.TrimSuffix(body, []byte{lineEnd}))
		}
	}
}
