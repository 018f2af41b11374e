package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/s2"

	"github.com/bursarhq/bursar/pkg/quota"
)

// The CBOR rules: deterministic encoding; decoding with bounds, where an unknown field, a repeated key or an
// indefinite length is an error. Texts need not be UTF-8: what could be written must be readable.
var (
	encoding = must(cbor.EncOptions{Sort: cbor.SortCoreDeterministic, IndefLength: cbor.IndefLengthForbidden}.UserBufferEncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8DecodeInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 16, MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 16,
	}.DecMode())
)

// must is for rules that are constant: a mistake in them fails every test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// storedCommit is a commit's body.
type storedCommit struct {
	_       struct{} `cbor:",toarray"`
	Head    head
	Events  []storedEvent
	Answers []storedAnswer
}

// storedEvents is a commit's body of which the answers are not read.
type storedEvents struct {
	_       struct{} `cbor:",toarray"`
	Head    head
	Events  []storedEvent
	Answers cbor.RawMessage
}

// storedEvent is an event in the record.
type storedEvent struct {
	_       struct{} `cbor:",toarray"`
	Kind    kindNumber
	Payload cbor.RawMessage
}

// Decode reads the bytes of a commit. It fails with ErrCorrupt when they are not what was written, with ErrVersion when
// a newer program wrote them, and with ErrTooLarge beyond a bound.
func Decode(data []byte) (*Commit, error) {
	body, err := unpack(commitMagic, data, MaxCommitBytes)
	if err != nil {
		return nil, err
	}
	var s storedCommit
	if err := decode(body, &s); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	if len(s.Answers) > MaxAnswers {
		return nil, fmt.Errorf("%w: %d answers, at most %d fit one commit", ErrTooLarge, len(s.Answers), MaxAnswers)
	}
	c, err := s.Head.commit(s.Events)
	if err != nil {
		return nil, err
	}
	c.Answers = make([]Answer, len(s.Answers))
	for i, a := range s.Answers {
		c.Answers[i] = Answer{Key: a.Key, Params: a.Params, IssuedAt: a.IssuedAt, Result: a.Result}
	}
	return c, nil
}

// DecodeEvents is Decode for who needs no answers, which are half of the work: the commit has none. It fails as Decode
// does, but for what is wrong within an answer.
func DecodeEvents(data []byte) (*Commit, error) {
	body, err := unpack(commitMagic, data, MaxCommitBytes)
	if err != nil {
		return nil, err
	}
	var s storedEvents
	if err := decode(body, &s); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return s.Head.commit(s.Events)
}

// commit is the commit of a head, with its events.
func (h *head) commit(events []storedEvent) (c *Commit, err error) {
	if len(events) > MaxEvents {
		return nil, fmt.Errorf("%w: %d events, at most %d fit one commit", ErrTooLarge, len(events), MaxEvents)
	}
	c = &Commit{
		Ledger: h.Ledger, Epoch: h.Epoch, Number: h.Number, ID: h.ID, Prev: h.Prev, At: h.At, Totals: h.Totals,
		Events: make([]quota.Event, len(events)),
	}
	for i, stored := range events {
		if c.Events[i], err = stored.decode(); err != nil {
			return nil, fmt.Errorf("commit %d, event %d: %w", c.Number, i, err)
		}
	}
	return c, nil
}

func (s *storedEvent) decode() (quota.Event, error) {
	e, err := s.Kind.blank()
	if err != nil {
		return nil, err
	}
	if err := decode(s.Payload, e); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Kind(), err)
	}
	return e, nil
}

// decode reads CBOR. An unknown field is a matter of versions; everything else is corruption, because a checksum stood before it.
func decode(data []byte, into any) error {
	err := decoding.Unmarshal(data, into)
	var unknown *cbor.UnknownFieldError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: it has a field that format %d, the newest this program reads, does not know: %w", ErrVersion, formatVersion, err)
	default:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
}

// unpack checks header and checksum and gives the body.
func unpack(magic string, data []byte, most int) ([]byte, error) {
	switch {
	case len(data) > most:
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(data), most)
	case len(data) < headerBytes || string(data[:3]) != magic:
		return nil, fmt.Errorf("%w: it does not begin as a record of kind %s does", ErrCorrupt, magic)
	case data[3] == 0 || data[3] > formatVersion:
		return nil, fmt.Errorf("%w: format %d, this program reads up to %d", ErrVersion, data[3], formatVersion)
	case data[5]|data[6]|data[7] != 0:
		return nil, fmt.Errorf("%w: reserved bytes are set", ErrCorrupt)
	case binary.BigEndian.Uint32(data[12:]) != checksum(data):
		return nil, fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	size := binary.BigEndian.Uint32(data[8:])
	if size > MaxBodyBytes {
		return nil, fmt.Errorf("%w: a body of %d bytes, at most %d are allowed", ErrTooLarge, size, MaxBodyBytes)
	}
	stored := data[headerBytes:]
	switch data[4] {
	case codecPlain:
		if uint32(len(stored)) != size {
			return nil, fmt.Errorf("%w: the body has %d bytes, the header says %d", ErrCorrupt, len(stored), size)
		}
		return stored, nil
	case codecS2:
		return unpackS2(stored, int(size))
	default:
		return nil, fmt.Errorf("%w: compression %d is not known to format %d", ErrVersion, data[4], formatVersion)
	}
}

func unpackS2(stored []byte, size int) ([]byte, error) {
	if n, err := s2.DecodedLen(stored); err != nil || n != size {
		return nil, fmt.Errorf("%w: the compressed body does not have the %d bytes that the header says", ErrCorrupt, size)
	}
	body, err := s2.Decode(make([]byte, 0, size), stored)
	if err != nil {
		return nil, fmt.Errorf("%w: decompress: %w", ErrCorrupt, err)
	}
	return body, nil
}
