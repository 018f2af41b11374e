package envelope_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/bursarhq/bursar/pkg/envelope"
)

type value struct {
	Name string           `cbor:"1,keyasint,omitempty"`
	By   map[string]int64 `cbor:"2,keyasint,omitempty"`
}

func format() envelope.Format { return envelope.Format{Magic: "TST", Version: 1, MaxPlain: 1 << 10} }

func TestWhatIsSealedIsOpened(t *testing.T) {
	t.Parallel()
	v := value{"x", map[string]int64{"a": 1, "b": -2, "c": 3}}
	data, err := format().Seal(v)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // the order of a map must not show
		again, err := format().Seal(v)
		if err != nil || !bytes.Equal(data, again) {
			t.Fatalf("the same value gave %x and %x (%v)", data, again, err)
		}
	}
	var got value
	if err := format().Open(data, &got); err != nil || got.Name != v.Name || len(got.By) != 3 || got.By["b"] != -2 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestForeignBytesAreRefused(t *testing.T) {
	t.Parallel()
	good, err := format().Seal(value{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	other := func(change func([]byte) []byte) []byte { return change(bytes.Clone(good)) }
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"the magic only":  good[:3],
		"another magic":   other(func(b []byte) []byte { b[0]++; return b }),
		"a later version": other(func(b []byte) []byte { b[3]++; return b }),
		"cut":             good[:len(good)-1],
		"too long":        append(bytes.Clone(good[:4]), s2.Encode(nil, make([]byte, 1<<11))...),
		"no CBOR":         append(bytes.Clone(good[:4]), s2.Encode(nil, []byte{0xff, 0xff})...),
		"another shape":   append(bytes.Clone(good[:4]), s2.Encode(nil, []byte{0x01})...),
	} {
		var v value
		if err := format().Open(data, &v); !errors.Is(err, envelope.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
	if _, err := format().Seal(value{Name: string(make([]byte, 1<<11))}); !errors.Is(err, envelope.ErrFormat) {
		t.Errorf("over the bound: %v, want ErrFormat", err)
	}
}
