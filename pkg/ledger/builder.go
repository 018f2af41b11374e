package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The fixed part of a record; see the package comment.
const (
	formatVersion = 1
	headerBytes   = 16
	codecPlain    = 0
	codecS2       = 1
	// compressFrom is the size from which compression is tried: below it the gain is a few bytes.
	compressFrom = 256
)

// headBytes is more than what stands before the events of a commit.
const headBytes = 512

const commitMagic = "BQL"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is the part of a commit's body before events and answers.
type head struct {
	_      struct{} `cbor:",toarray"`
	Ledger ID
	Epoch  uint64
	Number uint64
	ID     ID
	Prev   Hash
	At     quota.Instant
	Totals quota.Totals
}

// storedAnswer is an Answer in the record.
type storedAnswer struct {
	_        struct{} `cbor:",toarray"`
	Key      Key
	Params   Params
	IssuedAt quota.Instant
	Result   quota.Result
}

// Builder encodes a commit while its decisions are made, so that little is left to do when it is sent. The zero value
// is empty and ready; after Reset it may be used again.
type Builder struct {
	events   bytes.Buffer
	answers  bytes.Buffer
	nEvents  int
	nAnswers int
	body     []byte // room for Seal
	packed   []byte // room for Seal
}

// Mark is a position in a builder to go back to.
type Mark struct{ events, answers, nEvents, nAnswers int }

// Mark gives the present position.
func (b *Builder) Mark() Mark { return Mark{b.events.Len(), b.answers.Len(), b.nEvents, b.nAnswers} }

// Undo forgets everything added since the mark.
func (b *Builder) Undo(m Mark) {
	b.events.Truncate(m.events)
	b.answers.Truncate(m.answers)
	b.nEvents, b.nAnswers = m.nEvents, m.nAnswers
}

// Reset forgets everything.
func (b *Builder) Reset() { b.Undo(Mark{}) }

// Len is the size of what was added, in bytes before compression.
func (b *Builder) Len() int { return b.events.Len() + b.answers.Len() }

// Events is how many events were added.
func (b *Builder) Events() int { return b.nEvents }

// Answers is how many answers were added.
func (b *Builder) Answers() int { return b.nAnswers }

// AddEvent appends one event. It fails with ErrVersion on a type that has no number in the record.
func (b *Builder) AddEvent(e quota.Event) error {
	n, ok := number(e)
	if !ok {
		return fmt.Errorf("%w: event type %T has no number in format %d", ErrVersion, e, formatVersion)
	}
	buf := append(b.events.AvailableBuffer(), cborArray|2)
	buf = appendHeader(buf, cborUint, uint64(n))
	buf, byHand := appendEvent(buf, e)
	b.events.Write(buf)
	if !byHand {
		if err := encoding.MarshalToBuffer(e, &b.events); err != nil {
			return fmt.Errorf("encode %s: %w", e.Kind(), err)
		}
	}
	b.nEvents++
	return nil
}

// AddAnswer appends one answer.
func (b *Builder) AddAnswer(a *Answer) {
	b.answers.Write(appendAnswer(b.answers.AvailableBuffer(), a))
	b.nAnswers++
}

// Seal gives the bytes of the commit that consists of c's head and of the events and answers added here; c's own
// Events and Answers are not looked at. It fails with ErrTooLarge when the result exceeds a bound of the record.
func (b *Builder) Seal(c *Commit) ([]byte, error) {
	if b.nEvents > MaxEvents || b.nAnswers > MaxAnswers {
		return nil, fmt.Errorf("%w: %d events and %d answers, at most %d and %d fit one commit", ErrTooLarge, b.nEvents, b.nAnswers, MaxEvents, MaxAnswers)
	}
	body := append(slices.Grow(b.body[:0], headBytes+b.Len()), cborArray|3)
	body = appendHead(body, c)
	body = append(appendHeader(body, cborArray, uint64(b.nEvents)), b.events.Bytes()...)
	body = append(appendHeader(body, cborArray, uint64(b.nAnswers)), b.answers.Bytes()...)
	b.body = body
	var err error
	b.packed, err = pack(b.packed[:0], commitMagic, body, MaxCommitBytes)
	return bytes.Clone(b.packed), err
}

// Encode gives the bytes of a commit. It fails as Builder.Seal does.
func Encode(c *Commit) ([]byte, error) {
	var b Builder
	for _, e := range c.Events {
		if err := b.AddEvent(e); err != nil {
			return nil, err
		}
	}
	for i := range c.Answers {
		b.AddAnswer(&c.Answers[i])
	}
	return b.Seal(c)
}

// pack puts header and checksum before a body and compresses it where that helps. It writes into room, which it grows.
func pack(room []byte, magic string, body []byte, most int) ([]byte, error) {
	if len(body) > MaxBodyBytes {
		return nil, fmt.Errorf("%w: the body has %d bytes, at most %d are allowed", ErrTooLarge, len(body), MaxBodyBytes)
	}
	out := slices.Grow(room[:0], headerBytes+max(len(body), s2.MaxEncodedLen(len(body))))[:headerBytes]
	clear(out)
	out[4] = codecPlain
	if len(body) >= compressFrom {
		if packed := s2.Encode(out[headerBytes:cap(out)], body); len(packed) < len(body) {
			out, out[4] = out[:headerBytes+len(packed)], codecS2
		}
	}
	if out[4] == codecPlain {
		out = append(out[:headerBytes], body...)
	}
	copy(out, magic)
	out[3] = formatVersion
	binary.BigEndian.PutUint32(out[8:], uint32(len(body)))
	binary.BigEndian.PutUint32(out[12:], checksum(out))
	if len(out) > most {
		return nil, fmt.Errorf("%w: %d bytes encoded, at most %d are allowed", ErrTooLarge, len(out), most)
	}
	return out, nil
}

// checksum covers all of a record but itself.
func checksum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:12], castagnoli), castagnoli, record[headerBytes:])
}
