package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// sequenced is a message whose place in the consumer's order is verified.
type sequenced struct {
	msg jetstream.Msg
	rec Record
}

// errGap: messages went elsewhere. The reader starts over from the floor, after a pause that lets
// another reader, if there is one, get on.
var errGap = errors.New("a message of the consumer went elsewhere")

// sequencer turns what a consumer delivers, once it has been reset, into a sequence without gaps, as
// [RangeSubscriber] argues.
type sequencer struct {
	it        jetstream.MessagesContext
	delivered uint64 // number of the last accepted delivery
	last      uint64 // stream position of the last accepted message
	broken    bool   // a gap was seen: nothing further is accepted
	kept      *sequenced
}

func (s *sequencer) unread(m sequenced) { s.kept = &m }

// next returns the message that follows. Errors: ctx's, [errGap], and those of the connection.
func (s *sequencer) next(ctx context.Context) (sequenced, error) {
	if s.kept != nil {
		m := *s.kept
		s.kept = nil
		return m, nil
	}
	for !s.broken {
		msg, err := s.it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return sequenced{}, fmt.Errorf("next message: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return sequenced{}, fmt.Errorf("message without delivery metadata: %w", err)
		}
		if s.admit(meta) {
			return sequenced{msg: msg, rec: newRecord(msg, meta)}, nil
		}
	}
	return sequenced{}, errGap
}

// admit decides about one delivery: it follows the last one, repeats something, or shows a gap.
func (s *sequencer) admit(meta *jetstream.MsgMetadata) bool {
	number := meta.Sequence.Consumer
	if number != s.delivered+1 {
		s.broken = true
		return false
	}
	s.delivered = number
	if meta.Sequence.Stream <= s.last {
		return false // redelivered although we hold it: its ack wait ran out in our hands
	}
	s.last = meta.Sequence.Stream
	return true
}
