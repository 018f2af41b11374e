package wire

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/bursarhq/bursar/pkg/quota"
)

// An object lists the fields of a struct once, and reads and writes it from that list. The order is the order in which
// they are written, which makes the encoding canonical. The agreement test holds the list, the json tags of the struct
// and the JSON Schema to one another.
type object[T any] []field[T]

// field is one member of an object.
type field[T any] struct {
	name     string
	required bool
	read     func(d *decoder, v *T)
	write    func(b []byte, v *T) []byte
	empty    func(v *T) bool
}

// must marks a field that has to be there.
func must[T any](f field[T]) field[T] {
	f.required = true
	return f
}

func (o object[T]) decode(d *decoder, v *T) {
	if !d.enter('{', "an object") {
		return
	}
	var seen uint64
	next := 0
	for first := true; d.more(first, '}'); first = false {
		i := o.inOrder(d, next)
		if i < 0 {
			key := d.key()
			if d.failed != nil {
				return
			}
			if i = o.find(key); i < 0 {
				o.unknown(d, key)
				continue
			}
		}
		if seen&(1<<i) != 0 {
			d.fail("field %q stands there twice", o[i].name)
			return
		}
		seen |= 1 << i
		if o[i].read(d, v); d.failed != nil {
			d.failed.within(o[i].name)
			return
		}
		next = i + 1
	}
	for i := range o {
		if o[i].required && seen&(1<<i) == 0 && d.failed == nil {
			d.fail("is missing")
			d.failed.within(o[i].name)
		}
	}
}

// inOrder consumes the name of a field that is written as this package writes it, without escapes or space, and stands
// in the order of the list; it gives -1, and consumes nothing, for any other.
func (o object[T]) inOrder(d *decoder, next int) int {
	rest := d.data[d.pos:]
	for i := next; i < len(o); i++ { // optional fields that are left out are passed over
		name := o[i].name
		if end := len(name) + 1; end+1 < len(rest) && rest[end] == '"' && rest[end+1] == ':' && rest[0] == '"' && string(rest[1:end]) == name {
			d.pos += end + 2
			return i
		}
	}
	return -1
}

// find looks for a name; -1 where there is none such.
func (o object[T]) find(key []byte) int {
	for i := range o {
		if o[i].name == string(key) {
			return i
		}
	}
	return -1
}

func (o object[T]) unknown(d *decoder, key []byte) {
	if d.open {
		d.skip()
		return
	}
	names := make([]string, len(o))
	for i := range o {
		names[i] = o[i].name
	}
	known := "known are " + strings.Join(names, ", ")
	if len(names) == 0 {
		known = "send {}"
	}
	d.fail("unknown field %q; %s", key[:min(len(key), MaxNameBytes)], known)
}

// append writes the object; empty optional fields are left out.
func (o object[T]) append(b []byte, v *T) []byte {
	separator := byte('{')
	for i := range o {
		f := &o[i]
		if !f.required && f.empty(v) {
			continue
		}
		b = append(b, separator, '"')
		separator = ','
		b = append(b, f.name...)
		b = append(b, '"', ':')
		b = f.write(b, v)
	}
	if separator == '{' {
		b = append(b, '{')
	}
	return append(b, '}')
}

// text is a free text.
func text[T any](name string, most int, at func(*T) *string) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { *at(v) = d.text(most) },
		write: func(b []byte, v *T) []byte { return appendText(b, *at(v)) },
		empty: func(v *T) bool { return *at(v) == "" },
	}
}

// name is a text without control characters. Required, it must not be empty.
func name[T any](name string, most int, at func(*T) *string) field[T] {
	f := text(name, most, at)
	f.read = func(d *decoder, v *T) { *at(v) = d.name(most) }
	return f
}

// mustName is a name that must be there and not be empty.
func mustName[T any](n string, most int, at func(*T) *string) field[T] {
	f := must(name(n, most, at))
	f.read = func(d *decoder, v *T) {
		if *at(v) = d.name(most); *at(v) == "" {
			d.fail("must not be empty")
		}
	}
	return f
}

// choice is one of a few words.
func choice[T any](name string, words []string, at func(*T) *string) field[T] {
	f := text(name, MaxNameBytes, at)
	f.read = func(d *decoder, v *T) {
		s := d.text(MaxTextBytes)
		for _, word := range words {
			if s == word {
				*at(v) = word
				return
			}
		}
		d.fail("must be %s, not %q", strings.Join(words, ", "), s)
	}
	return f
}

// integer is a whole number of any of the integer types that the wire uses.
func integer[T any, N ~int64](name string, least, most int64, at func(*T) *N) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { *at(v) = N(d.integer(least, most)) },
		write: func(b []byte, v *T) []byte { return strconv.AppendInt(b, int64(*at(v)), 10) },
		empty: func(v *T) bool { return *at(v) == 0 },
	}
}

// counter is a number that only grows.
func counter[T any](name string, at func(*T) *uint64) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { *at(v) = uint64(d.integer(0, maxInteger)) },
		write: func(b []byte, v *T) []byte { return strconv.AppendUint(b, *at(v), 10) },
		empty: func(v *T) bool { return *at(v) == 0 },
	}
}

// optional is a whole number that may be absent, which differs from 0.
func optional[T any](name string, least, most int64, at func(*T) **int64) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { n := d.integer(least, most); *at(v) = &n },
		write: func(b []byte, v *T) []byte { return strconv.AppendInt(b, **at(v), 10) },
		empty: func(v *T) bool { return *at(v) == nil },
	}
}

// percent is a percentage that may be absent.
func percent[T any](name string, most int64, at func(*T) **Percent) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { p := Percent(d.thousandths(0, most)); *at(v) = &p },
		write: func(b []byte, v *T) []byte { return appendThousandths(b, int64(**at(v))) },
		empty: func(v *T) bool { return *at(v) == nil },
	}
}

func boolean[T any](name string, at func(*T) *bool) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { *at(v) = d.boolean() },
		write: func(b []byte, v *T) []byte { return strconv.AppendBool(b, *at(v)) },
		empty: func(v *T) bool { return !*at(v) },
	}
}

// instant is a point of time as RFC 3339 text.
func instant[T any](name string, at func(*T) *Time) field[T] {
	return field[T]{
		name: name,
		read: func(d *decoder, v *T) {
			raw, _ := d.raw()
			if d.failed != nil {
				return
			}
			t, err := parseTime(raw)
			if err != nil {
				d.fail("%v", err)
			}
			*at(v) = t
		},
		write: func(b []byte, v *T) []byte { return at(v).append(b) },
		empty: func(v *T) bool { return *at(v) == 0 },
	}
}

// nested is an object within an object.
func nested[T any, U comparable](name string, o object[U], at func(*T) *U) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { o.decode(d, at(v)) },
		write: func(b []byte, v *T) []byte { return o.append(b, at(v)) },
		empty: func(v *T) bool { var zero U; return *at(v) == zero },
	}
}

// pointer is an object within an object that may be absent.
func pointer[T, U any](name string, o object[U], at func(*T) **U) field[T] {
	return field[T]{
		name:  name,
		read:  func(d *decoder, v *T) { *at(v) = new(U); o.decode(d, *at(v)) },
		write: func(b []byte, v *T) []byte { return o.append(b, *at(v)) },
		empty: func(v *T) bool { return *at(v) == nil },
	}
}

// list is a list of objects.
func list[T, U any](name string, most int, o object[U], at func(*T) *[]U) field[T] {
	return field[T]{
		name: name,
		read: func(d *decoder, v *T) {
			readList(d, most, func() {
				*at(v) = append(*at(v), *new(U))
				o.decode(d, &(*at(v))[len(*at(v))-1])
			})
		},
		write: func(b []byte, v *T) []byte {
			b = append(b, '[')
			for i := range *at(v) {
				if i > 0 {
					b = append(b, ',')
				}
				b = o.append(b, &(*at(v))[i])
			}
			return append(b, ']')
		},
		empty: func(v *T) bool { return len(*at(v)) == 0 },
	}
}

// numbers is a list of numbers that identify something.
func numbers[T any](name string, most int, at func(*T) *[]uint64) field[T] {
	return field[T]{
		name: name,
		read: func(d *decoder, v *T) {
			readList(d, most, func() { *at(v) = append(*at(v), uint64(d.integer(0, maxInteger))) })
		},
		write: func(b []byte, v *T) []byte {
			b = append(b, '[')
			for i, n := range *at(v) {
				if i > 0 {
					b = append(b, ',')
				}
				b = strconv.AppendUint(b, n, 10)
			}
			return append(b, ']')
		},
		empty: func(v *T) bool { return len(*at(v)) == 0 },
	}
}

// names is a list of names; none of them is empty.
func names[T any](n string, most int, at func(*T) *[]string) field[T] {
	return field[T]{
		name: n,
		read: func(d *decoder, v *T) {
			readList(d, most, func() {
				s := d.name(MaxNameBytes)
				if s == "" && d.failed == nil {
					d.fail("must not be empty")
				}
				*at(v) = append(*at(v), s)
			})
		},
		write: func(b []byte, v *T) []byte {
			b = append(b, '[')
			for i, s := range *at(v) {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendText(b, s)
			}
			return append(b, ']')
		},
		empty: func(v *T) bool { return len(*at(v)) == 0 },
	}
}

func readList(d *decoder, most int, item func()) {
	if !d.enter('[', "a list") {
		return
	}
	n := 0
	for first := true; d.more(first, ']'); first = false {
		if n >= most {
			d.fail("has more than %d items; send several requests", most)
			return
		}
		if item(); d.failed != nil {
			d.failed.within("[" + strconv.Itoa(n) + "]")
			return
		}
		n++
	}
}

// appendText writes a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if special[s[i]] {
			quoted, _ := json.Marshal(s) // a string always has an encoding
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// maxInteger is the largest number on the wire: 2^53-1, the largest that every JSON reader keeps exact.
const maxInteger = 1<<53 - 1

// Bounds of texts and lists, in bytes and items.
const (
	MaxTextBytes    = quota.MaxStringLen // a reason, a source, a provider's request id
	MaxAcks         = quota.MaxNoticesPerAgent
	MaxUsageItems   = quota.MaxItemsPerReport
	MaxRequestBytes = 512 << 10 // a request other than apply
	MaxApplyBytes   = 960 << 10 // an apply request; the server takes 1 MiB with headers
	MaxConfigBytes  = 448 << 10 // the configuration document in it
)
