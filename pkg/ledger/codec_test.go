package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/bursarhq/bursar/pkg/quota"
)

// fill sets every field to a value that is not zero, so that a field that is lost is seen.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(value, n)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*n%7)+1) + "ü")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-*n * 1_000_003)
	case reflect.Int8:
		v.SetInt(*n%100 + 1)
	case reflect.Uint64:
		v.SetUint(uint64(*n) * 1_000_003)
	default:
		panic("a kind of field that the record does not have yet: " + v.Kind().String())
	}
}

// allEvents gives one filled event of every kind that has a number.
func allEvents(t testing.TB) []quota.Event {
	t.Helper()
	var events []quota.Event
	var n int64
	for kind := kindNumber(1); ; kind++ {
		e, err := kind.blank()
		if err != nil {
			return events
		}
		if back, ok := number(e); !ok || back != kind {
			t.Fatalf("kind %d makes a %T, which has number %d", kind, e, back)
		}
		fill(reflect.ValueOf(e).Elem(), &n)
		events = append(events, e)
	}
}

// TestEveryEventHasANumber reads the source of the domain: an event added there must be added here.
func TestEveryEventHasANumber(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../quota/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var want, have []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Kind" {
				want = append(want, f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
			}
		}
	}
	for _, e := range allEvents(t) {
		have = append(have, reflect.TypeOf(e).Elem().Name())
	}
	slices.Sort(want)
	slices.Sort(have)
	if len(want) < 16 || !slices.Equal(want, have) {
		t.Errorf("the domain has the events\n%v\nthe record knows\n%v\ngive each its number in events.go, one that was never used", want, have)
	}
}

func fullCommit(t testing.TB) *Commit {
	t.Helper()
	c := &Commit{Ledger: ID{1}, Epoch: 3, Number: 9, ID: ID{2}, Prev: Hash{7}, At: t0, Events: allEvents(t), Answers: make([]Answer, 2)}
	n := int64(1)
	for i := range c.Answers {
		c.Answers[i] = Answer{Key: KeyOf("ann", string(rune('a'+i))), Params: ParamsOf([]byte{byte(i)}), IssuedAt: t0}
		fill(reflect.ValueOf(&c.Answers[i].Result).Elem(), &n)
	}
	fill(reflect.ValueOf(&c.Totals).Elem(), &n)
	return c
}

func TestCommitRoundTrip(t *testing.T) {
	t.Parallel()
	c := fullCommit(t)
	data, err := Encode(c)
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, back) {
		t.Errorf("wrote\n%+v\nread\n%+v", c, back)
	}
	again, err := Encode(back)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("equal commits have different bytes (%v)", err)
	}
	for i, e := range c.Events {
		one := &Commit{Ledger: ID{1}, Epoch: 1, Number: 1, Events: []quota.Event{e}, Answers: []Answer{}}
		data, err := Encode(one)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(data); err != nil || !reflect.DeepEqual(one, back) {
			t.Errorf("event %d, %s: wrote %+v, read %+v (%v)", i, e.Kind(), e, back, err)
		}
	}
}

// TestAnyTextIsReadAgain: a commit that is stored and cannot be read would stop the ledger for good.
// Who needs no answers gets the same commit without them.
func TestDecodeEventsLeavesOutTheAnswers(t *testing.T) {
	t.Parallel()
	data, err := Encode(fullCommit(t))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEvents(data)
	if want.Answers = nil; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, %v, want %+v", got, err, want)
	}
	data[len(data)-1] ^= 1
	if _, err := DecodeEvents(data); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged commit gives %v", err)
	}
}

func TestAnyTextIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\xff\xfe", "\x00", "a\x80b", "\ufeff"} {
		c := &Commit{Ledger: ID{1}, Epoch: 1, Number: 1, Events: []quota.Event{&quota.EpochClaimed{Epoch: 1, Writer: text}}, Answers: []Answer{}}
		data, err := Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := Decode(data); err != nil || !reflect.DeepEqual(c, back) {
			t.Errorf("%q: read %+v (%v)", text, back, err)
		}
	}
}

func TestBuilderUndo(t *testing.T) {
	t.Parallel()
	c := fullCommit(t)
	var b Builder
	add := func(c *Commit) {
		for _, e := range c.Events {
			if err := b.AddEvent(e); err != nil {
				t.Fatal(err)
			}
		}
		for i := range c.Answers {
			b.AddAnswer(&c.Answers[i])
		}
	}
	add(c)
	mark := b.Mark()
	add(c)
	b.Undo(mark)
	got, err := b.Seal(c)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := Encode(c); !bytes.Equal(got, want) {
		t.Error("undo left something behind")
	}
	b.Reset()
	if b.Len() != 0 || b.Events() != 0 || b.Answers() != 0 {
		t.Errorf("after Reset: %d bytes, %d events, %d answers", b.Len(), b.Events(), b.Answers())
	}
}

type strangeEvent struct{}

func (*strangeEvent) Kind() string { return "strange" }

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	many := make([]quota.Event, MaxEvents+1)
	for i := range many {
		many[i] = &quota.EpochClaimed{Epoch: 1}
	}
	tests := map[string]struct {
		events []quota.Event
		want   error
	}{
		"an event without a number": {[]quota.Event{&strangeEvent{}}, ErrVersion},
		"too many events":           {many, ErrTooLarge},
		"too many bytes":            {[]quota.Event{&quota.EpochClaimed{Writer: randomText(600 << 10)}}, ErrTooLarge},
		"a body beyond the bound":   {[]quota.Event{&quota.EpochClaimed{Writer: strings.Repeat("a", MaxBodyBytes)}}, ErrTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Encode(&Commit{Ledger: ID{1}, Events: test.events}); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// randomText does not compress.
func randomText(n int) string {
	r := newRand(3)
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(r.IntN(64))
	}
	return string(b)
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good, err := Encode(fullCommit(t))
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	sealed := func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[12:], checksum(b))
		return b
	}
	body := func(v any) []byte {
		raw, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b, err := pack(nil, commitMagic, raw, MaxCommitBytes)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	event := func(kind uint64, payload any) []byte {
		return body([]any{head{Ledger: ID{1}}, []any{[]any{kind, payload}}, []any{}})
	}
	nested := make([]any, 0)
	for range 40 {
		nested = []any{nested}
	}
	tests := map[string]struct {
		data []byte
		want error
	}{
		"nothing":                 {nil, ErrCorrupt},
		"cut short":               {good[:len(good)-1], ErrCorrupt},
		"cut to the header":       {good[:headerBytes], ErrCorrupt},
		"one byte more":           {append(bytes.Clone(good), 0), ErrCorrupt},
		"a flipped bit":           {change(func(b []byte) []byte { b[len(b)/2] ^= 4; return b }), ErrCorrupt},
		"another magic":           {change(func(b []byte) []byte { b[0] = 'X'; return sealed(b) }), ErrCorrupt},
		"a newer format":          {change(func(b []byte) []byte { b[3] = formatVersion + 1; return sealed(b) }), ErrVersion},
		"format 0":                {change(func(b []byte) []byte { b[3] = 0; return sealed(b) }), ErrVersion},
		"another compression":     {change(func(b []byte) []byte { b[4] = 9; return sealed(b) }), ErrVersion},
		"reserved bytes":          {change(func(b []byte) []byte { b[6] = 1; return sealed(b) }), ErrCorrupt},
		"a lie about the length":  {change(func(b []byte) []byte { b[11]++; return sealed(b) }), ErrCorrupt},
		"a bomb":                  {change(func(b []byte) []byte { b[8] = 0xff; return sealed(b) }), ErrTooLarge},
		"too long":                {make([]byte, MaxCommitBytes+1), ErrTooLarge},
		"an unknown kind":         {event(999, map[int]int{}), ErrVersion},
		"an unknown field":        {event(1, map[int]any{1: 1, 77: "new"}), ErrVersion},
		"a field of another type": {event(1, map[int]any{1: "x"}), ErrCorrupt},
		"not an array":            {body(map[int]int{1: 1}), ErrCorrupt},
		"deep nesting":            {body(nested), ErrCorrupt},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Decode(test.data)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if errors.Is(err, ErrVersion) && !strings.Contains(err.Error(), "format") {
				t.Errorf("%q does not name the format", err)
			}
		})
	}
}
