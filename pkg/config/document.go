package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a configuration file.
const (
	// MaxBytes is the largest file; what is applied over the wire must fit one message.
	MaxBytes = 512 << 10
	// maxDepth bounds nesting in brackets and braces, and of values; a configuration needs 6.
	maxDepth = 32
	// maxColumn bounds where a list item or key may stand, and with it nesting by indentation.
	maxColumn = 200
	// maxKeys bounds one mapping; the largest has 12. The parser takes quadratic time in it.
	maxKeys = 100
)

// pointer is a place in a document: keys and list positions from the root.
type pointer []string

// child gives a place below.
func (p pointer) child(steps ...any) pointer {
	q := make(pointer, len(p), len(p)+len(steps))
	copy(q, p)
	for _, s := range steps {
		q = append(q, fmt.Sprint(s))
	}
	return q
}

// key is unambiguous, for maps.
func (p pointer) key() string { return strings.Join(p, "\x00") }

// name gives the key that the place belongs to: its own, or for a list item that of the list.
func (p pointer) name() string {
	for i := len(p) - 1; i >= 0; i-- {
		if _, err := strconv.Atoi(p[i]); err != nil {
			return p[i]
		}
	}
	return ""
}

// String writes the place as a person would: accounts[0].tier.
func (p pointer) String() string {
	var b strings.Builder
	for _, step := range p {
		if _, err := strconv.Atoi(step); err == nil {
			b.WriteString("[" + step + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(step)
	}
	return b.String()
}

// mark is where a value and its key begin. List items have their own place as key.
type mark struct{ line, column, keyLine, keyColumn int }

// document is a parsed file: plain values (map[string]any, []any, string, bool, int64, uint64, float64, nil) and where
// they stand.
type document struct {
	root  any
	marks map[string]mark
}

// mark finds a place, or the nearest place above it.
func (d *document) mark(at pointer) mark {
	for ; len(at) > 0; at = at[:len(at)-1] {
		if m, ok := d.marks[at.key()]; ok {
			return m
		}
	}
	if m, ok := d.marks[""]; ok {
		return m
	}
	return mark{1, 1, 1, 1}
}

// read parses YAML. What is wrong with the form goes to c; ok is false if there is no document to check.
func (c *collector) read(data []byte) (ok bool) {
	c.doc = &document{marks: map[string]mark{}}
	if len(data) > MaxBytes {
		c.addAt(1, 1, nil, fmt.Sprintf("the file has %d bytes, at most %d are accepted", len(data), MaxBytes), "")
		return false
	}
	tokens := lexer.Tokenize(string(data))
	if t, message := excessive(tokens); t != nil {
		c.addAt(t.Position.Line, t.Position.Column, nil, message, "")
		return false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		c.syntax(err)
		return false
	}
	var bodies []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			bodies = append(bodies, d.Body)
		}
	}
	switch len(bodies) {
	case 0:
		c.addAt(1, 1, nil, "the file is empty", "write at least version: 1")
		return false
	case 1:
	default:
		p := bodies[1].GetToken().Position
		c.addAt(p.Line, p.Column, nil, "a second document begins here", "write one document")
		return false
	}
	before := len(c.faults)
	c.doc.root = c.value(bodies[0], nil)
	return len(c.faults) == before
}

// excessive finds the token that nests, or adds to a mapping, beyond the bounds. It runs before the parser, whose time
// and stack grow with both.
func excessive(tokens token.Tokens) (at *token.Token, message string) {
	depth, line := 0, 0
	var inFlow [maxDepth + 2]int   // keys of the open mapping, by depth of brackets
	var inBlock [maxColumn + 1]int // keys of the open mapping, by column
	for i, t := range tokens {
		column := t.Position.Column
		if depth == 0 && t.Position.Line != line && column <= maxColumn {
			clear(inBlock[column+1:]) // what is indented further has ended
		}
		line = t.Position.Line
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
			if depth > maxDepth {
				return t, "nested too deeply"
			}
			inFlow[depth] = 0
		case token.SequenceEndType, token.MappingEndType:
			depth = max(depth-1, 0)
		case token.SequenceEntryType, token.MappingKeyType:
			if column > maxColumn {
				return t, "nested too deeply"
			}
			clear(inBlock[column+1:])
		case token.MappingValueType:
			if i > 0 {
				column = tokens[i-1].Position.Column
			}
			count := &inFlow[depth]
			if depth == 0 {
				if column > maxColumn {
					return t, "nested too deeply"
				}
				count = &inBlock[column]
			}
			if *count++; *count > maxKeys {
				return t, fmt.Sprintf("a mapping has more than %d keys", maxKeys)
			}
		}
	}
	return nil, ""
}

// syntax turns the parser's error into a fault.
func (c *collector) syntax(err error) {
	var parseErr yaml.Error
	if errors.As(err, &parseErr) && parseErr.GetToken() != nil {
		p := parseErr.GetToken().Position
		c.addAt(p.Line, p.Column, nil, "not valid YAML: "+parseErr.GetMessage(), "")
		return
	}
	c.addAt(1, 1, nil, "not valid YAML: "+err.Error(), "")
}

// value converts a node and notes where it stands.
func (c *collector) value(n ast.Node, at pointer) any {
	c.note(n, at)
	if len(at) > maxDepth {
		c.add(at, "nested too deeply", "")
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return c.mapping(n.Values, at)
	case *ast.MappingValueNode:
		return c.mapping([]*ast.MappingValueNode{n}, at)
	case *ast.SequenceNode:
		list := make([]any, len(n.Values))
		for i, item := range n.Values {
			list[i] = c.value(item, at.child(i))
		}
		return list
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.IntegerNode:
		return n.Value
	case *ast.FloatNode:
		return wholeIfPossible(n.Value)
	case *ast.BoolNode:
		return n.Value
	case *ast.NullNode:
		return nil
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		c.add(at, "anchors, aliases and merge keys are not supported", "write the value out")
	case *ast.TagNode:
		c.add(at, "tags are not supported", "leave out "+n.Start.Value)
	default:
		c.add(at, "a value of this form is not supported", "write text, a number, true, false, a list or a mapping")
	}
	return nil
}

// note records where a node begins. The position of a mapping is that of its first key.
func (c *collector) note(n ast.Node, at pointer) {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			t = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		t = n.Key.GetToken()
	}
	m := c.doc.marks[at.key()]
	m.line, m.column = t.Position.Line, t.Position.Column
	if m.keyLine == 0 {
		m.keyLine, m.keyColumn = m.line, m.column
	}
	c.doc.marks[at.key()] = m
}

func (c *collector) mapping(values []*ast.MappingValueNode, at pointer) map[string]any {
	made := make(map[string]any, len(values))
	for _, v := range values {
		key, ok := keyText(v.Key)
		p := v.Key.GetToken().Position
		if !ok {
			c.addAt(p.Line, p.Column, at, "a key must be text", "anchors, aliases, merge keys and complex keys are not supported")
			continue
		}
		below := at.child(key)
		if first, twice := c.doc.marks[below.key()]; twice {
			c.addAt(p.Line, p.Column, below, fmt.Sprintf("the key stands here a second time, first in line %d", first.keyLine), "leave one of them out")
			continue
		}
		c.doc.marks[below.key()] = mark{keyLine: p.Line, keyColumn: p.Column}
		made[key] = c.value(v.Value, below)
	}
	return made
}

// keyText gives the text of a plain key.
func keyText(key ast.MapKeyNode) (string, bool) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.BoolNode, *ast.NullNode, *ast.FloatNode:
		return k.GetToken().Value, true
	}
	return "", false
}

// wholeIfPossible lets 1e6 be an integer.
func wholeIfPossible(f float64) any {
	const exact = 1 << 53
	if f == math.Trunc(f) && math.Abs(f) <= exact {
		return int64(f)
	}
	return f
}
