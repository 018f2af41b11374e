package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"unicode/utf8"
)

// maxDepth bounds how deep a document may nest.
const maxDepth = 16

// fault is what is wrong with a document: where, and what to write instead.
type fault struct {
	path    string
	message string
}

func (f *fault) text() string {
	if f.path == "" {
		return f.message
	}
	return f.path + ": " + f.message
}

// within puts the name of the enclosing field before the path.
func (f *fault) within(name string) {
	if f.path == "" || f.path[0] == '[' {
		f.path = name + f.path
		return
	}
	f.path = name + "." + f.path
}

// decoder reads one JSON document without building a tree. The first fault ends the reading; every method is a no-op
// after it. It is written by hand because decoding is on the path of every request: it allocates only the texts and
// lists it returns, and it can say which field is wrong and what to write there.
type decoder struct {
	data  []byte
	pos   int
	depth int
	open  bool // unknown fields are skipped: replies and events of a newer version
	// whole, where it is set, is the document as text, of which the texts are parts: one allocation for all of them, which
	// lives as long as any of them does. It suits documents that are nearly all kept.
	whole  string
	ascii  bool // the last raw string has neither control characters nor anything beyond ASCII
	failed *fault
}

// decoders are for reading: what reads them is reached by the table of fields, which would put each on the heap.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// read reads the whole document; it gives what is wrong with it.
func (d decoder) read(document func(*decoder)) *fault {
	reading := decoders.Get().(*decoder)
	*reading = d
	document(reading)
	reading.end()
	failed := reading.failed
	*reading = decoder{}
	decoders.Put(reading)
	return failed
}

func (d *decoder) fail(format string, args ...any) {
	if d.failed == nil {
		d.failed = &fault{message: fmt.Sprintf(format, args...)}
	}
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\r', '\n':
			d.pos++
		default:
			return
		}
	}
}

// peek gives the next byte that is not space, 0 at the end.
func (d *decoder) peek() byte {
	if d.pos < len(d.data) && d.data[d.pos] > ' ' {
		return d.data[d.pos]
	}
	d.space()
	if d.pos >= len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

// enter consumes an opening bracket.
func (d *decoder) enter(bracket byte, what string) bool {
	if d.failed != nil {
		return false
	}
	if d.peek() != bracket {
		d.fail("must be %s, not %s", what, d.describe())
		return false
	}
	if d.depth++; d.depth > maxDepth {
		d.fail("nested deeper than %d levels", maxDepth)
		return false
	}
	d.pos++
	return true
}

// more tells whether another member follows and consumes what stands before it: the comma, or the closing bracket.
func (d *decoder) more(first bool, closing byte) bool {
	if d.failed != nil {
		return false
	}
	switch c := d.peek(); {
	case c == closing:
		d.pos++
		d.depth--
		return false
	case first:
		return true
	case c == ',':
		d.pos++
		if d.peek() == closing {
			d.fail("not valid JSON at byte %d: a comma before %q", d.pos, closing)
			return false
		}
		return true
	default:
		d.fail("not valid JSON at byte %d: expected %q or a comma, found %s", d.pos, closing, d.describe())
		return false
	}
}

// special are the bytes that do not stand for themselves in a text, or are not ASCII.
var special = func() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c == '"' || c == '\\' || c >= 0x7f
	}
	return set
}()

// raw consumes a string and gives what stands between the quotes; plain is false if it contains escapes.
func (d *decoder) raw() (s []byte, plain bool) {
	if d.peek() != '"' {
		d.fail("must be text in double quotes, not %s", d.describe())
		return nil, false
	}
	start := d.pos + 1
	plain, d.ascii = true, true
	for i := start; i < len(d.data); i++ {
		if !special[d.data[i]] {
			continue
		}
		switch c := d.data[i]; {
		case c == '"':
			d.pos = i + 1
			return d.data[start:i], plain
		case c == '\\':
			plain = false
			i++
		case c < ' ':
			d.fail("not valid JSON at byte %d: a control character in a text", i)
			return nil, false
		default:
			d.ascii = false
		}
	}
	d.fail("not valid JSON: a text without closing quote")
	return nil, false
}

// key consumes a member's name and the colon after it.
func (d *decoder) key() []byte {
	name, plain := d.raw()
	if d.failed != nil {
		return nil
	}
	if !plain {
		name = []byte(d.unescape(name))
	}
	if d.peek() != ':' {
		d.fail("not valid JSON at byte %d: expected a colon after %q", d.pos, name)
		return nil
	}
	d.pos++
	return name
}

func (d *decoder) unescape(raw []byte) string {
	var s string
	quoted := make([]byte, 0, len(raw)+2)
	quoted = append(append(append(quoted, '"'), raw...), '"')
	if err := json.Unmarshal(quoted, &s); err != nil {
		d.fail("not valid JSON: a text with a broken escape")
	}
	return s
}

// text reads a text of at most so many bytes of UTF-8.
func (d *decoder) text(most int) string {
	raw, plain := d.raw()
	if d.failed != nil {
		return ""
	}
	if (!d.ascii || !plain) && !utf8.Valid(raw) {
		d.fail("is not valid UTF-8")
		return ""
	}
	if !plain {
		raw, d.ascii = []byte(d.unescape(raw)), false
	}
	if len(raw) > most {
		d.fail("has %d bytes, at most %d are allowed", len(raw), most)
		return ""
	}
	if plain && d.whole != "" {
		end := d.pos - 1
		return d.whole[end-len(raw) : end]
	}
	return string(raw)
}

// name reads a text without control characters.
func (d *decoder) name(most int) string {
	s := d.text(most)
	if d.ascii {
		return s
	}
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			d.fail("must not contain control characters")
			return ""
		}
	}
	return s
}

// integer reads a whole number within bounds.
func (d *decoder) integer(least, most int64) int64 {
	start := d.numberStart()
	if d.failed != nil {
		return 0
	}
	i := start
	negative := d.data[i] == '-'
	if negative {
		i++
	}
	first := i
	var n uint64
	overflow := false
	for ; i < len(d.data) && d.data[i] >= '0' && d.data[i] <= '9'; i++ {
		digit := uint64(d.data[i] - '0')
		if n > (math.MaxInt64-digit)/10 {
			overflow = true
			continue
		}
		n = n*10 + digit
	}
	d.pos = i
	switch {
	case i == first || d.data[first] == '0' && i > first+1:
		d.fail("not valid JSON at byte %d: a broken number", start)
	case i < len(d.data) && (d.data[i] == '.' || d.data[i] == 'e' || d.data[i] == 'E'):
		d.fail("must be a whole number, written without fraction or exponent")
	case overflow:
		d.fail("must be from %d to %d", least, most)
	}
	value := int64(n)
	if negative {
		value = -value
	}
	if d.failed == nil && (value < least || value > most) {
		d.fail("must be from %d to %d, not %d", least, most, value)
	}
	return value
}

// numberStart finds a number and gives where it starts.
func (d *decoder) numberStart() int {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.fail("must be a number, not %s", d.describe())
	}
	return d.pos
}

// thousandths reads a number as an integer of thousandths, rounded.
func (d *decoder) thousandths(least, most int64) int64 {
	start := d.numberStart()
	if d.failed != nil {
		return 0
	}
	i := start
	for i < len(d.data) && bytes.IndexByte([]byte("+-0123456789.eE"), d.data[i]) >= 0 {
		i++
	}
	d.pos = i
	value, ok := parseThousandths(d.data[start:i])
	if !ok {
		d.fail("must be a number such as 42.5, not %s", d.data[start:min(i, start+32)])
		return 0
	}
	if value < least || value > most {
		d.fail("must be from %s to %s", appendThousandths(nil, least), appendThousandths(nil, most))
	}
	return value
}

func (d *decoder) boolean() bool {
	d.space()
	switch rest := d.data[d.pos:]; {
	case bytes.HasPrefix(rest, []byte("true")):
		d.pos += len("true")
		return true
	case bytes.HasPrefix(rest, []byte("false")):
		d.pos += len("false")
	default:
		d.fail("must be true or false, not %s", d.describe())
	}
	return false
}

// skip passes over a value of any kind.
func (d *decoder) skip() {
	switch c := d.peek(); {
	case d.failed != nil:
	case c == '{':
		d.enter('{', "an object")
		for first := true; d.more(first, '}'); first = false {
			d.key()
			d.skip()
		}
	case c == '[':
		d.enter('[', "a list")
		for first := true; d.more(first, ']'); first = false {
			d.skip()
		}
	case c == '"':
		d.raw()
	case c == 't' || c == 'f':
		d.boolean()
	case bytes.HasPrefix(d.data[d.pos:], []byte("null")):
		d.pos += len("null")
	default:
		d.skipNumber()
	}
}

func (d *decoder) skipNumber() {
	start := d.numberStart()
	for d.failed == nil && d.pos < len(d.data) && bytes.IndexByte([]byte("+-0123456789.eE"), d.data[d.pos]) >= 0 {
		d.pos++
	}
	if d.failed == nil && !json.Valid(d.data[start:d.pos]) {
		d.fail("not valid JSON at byte %d: a broken number", start)
	}
}

// end checks that nothing follows the document.
func (d *decoder) end() {
	if d.failed == nil && d.peek() != 0 || d.failed == nil && d.pos < len(d.data) {
		d.fail("not valid JSON at byte %d: something follows the document", d.pos)
	}
}

// describe says in words what comes next.
func (d *decoder) describe() string {
	switch c := d.peek(); {
	case d.pos >= len(d.data):
		return "the end of the document"
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "text"
	case c == 't' || c == 'f':
		return "true or false"
	case c == 'n':
		return "null; leave the field out instead"
	case c == '-' || c >= '0' && c <= '9':
		return "a number"
	case c == 'N' || c == 'I':
		return "NaN or Infinity"
	default:
		return fmt.Sprintf("%q", c)
	}
}
