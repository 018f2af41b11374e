// Package envelope wraps a value that a service keeps as bytes: what it is, in which format, how long it may be.
//
// The bytes are a magic word, one byte of the format's version, and the value in CBOR compressed with S2. The same value
// gives the same bytes. Opening allocates no more than the bound, whatever the bytes say of themselves.
//
// Callers must tolerate that a value of a later format cannot be opened: bump Version only where fields that are added
// do not do, since an unknown field is passed over and a missing one is zero.
package envelope

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/s2"
)

// ErrFormat says that bytes are not an envelope of the format they were opened as, or not within its bound.
var ErrFormat = errors.New("not an envelope of this format")

// Format is a kind of stored value.
type Format struct {
	Magic    string // what the bytes begin with, unlike any other kind's
	Version  byte
	MaxPlain int // bytes of the value before compression
}

// Seal gives the bytes to keep. It fails for a value that CBOR cannot hold, and with ErrFormat for one over MaxPlain.
func (f Format) Seal(value any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.Magic, err)
	}
	body, err := mode.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.Magic, err)
	}
	if len(body) > f.MaxPlain {
		return nil, fmt.Errorf("encode %s: %w: %d bytes, at most %d are kept", f.Magic, ErrFormat, len(body), f.MaxPlain)
	}
	head := append([]byte(f.Magic), f.Version)
	return append(head, s2.Encode(nil, body)...), nil
}

// Open reads sealed bytes into a pointer to the value. It fails with ErrFormat for bytes that Seal of this format did not
// make.
func (f Format) Open(data []byte, into any) error {
	rest, ok := bytes.CutPrefix(data, append([]byte(f.Magic), f.Version))
	if !ok {
		return fmt.Errorf("%w: they do not begin with %s, version %d", ErrFormat, f.Magic, f.Version)
	}
	if n, err := s2.DecodedLen(rest); err != nil || n > f.MaxPlain {
		return fmt.Errorf("%w: the length is not within 0..%d", ErrFormat, f.MaxPlain)
	}
	body, err := s2.Decode(nil, rest)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := cbor.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}
