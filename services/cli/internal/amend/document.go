package amend

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// document is a YAML file as lines, with where its values stand. Each edit changes the lines and reads them anew.
type document struct {
	lines []string
	root  ast.Node
}

func read(text []byte) (*document, error) {
	d := &document{lines: strings.Split(string(text), "\n")}
	return d, d.parse()
}

func (d *document) parse() error {
	file, err := parser.ParseBytes([]byte(d.text()), 0)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return errors.New("read the configuration: it is empty")
	}
	d.root = file.Docs[0].Body
	return nil
}

func (d *document) text() string { return strings.Join(d.lines, "\n") }

// pairs lists the keys and values of a mapping; none for other nodes.
func pairs(n ast.Node) []*ast.MappingValueNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

// get finds the value of a key; nil for none.
func get(n ast.Node, key string) ast.Node {
	for _, p := range pairs(n) {
		if p.Key.GetToken().Value == key {
			return p.Value
		}
	}
	return nil
}

// items lists a sequence; none for other nodes.
func items(n ast.Node) []ast.Node {
	if s, ok := n.(*ast.SequenceNode); ok {
		return s.Values
	}
	return nil
}

// named finds the item of a list by the value of a key, or a plain item by itself; nil for none.
func named(list ast.Node, key, name string) ast.Node {
	for _, item := range items(list) {
		if v := get(item, key); v != nil && v.GetToken().Value == name {
			return item
		}
		if len(pairs(item)) == 0 && item.GetToken().Value == name {
			return item
		}
	}
	return nil
}

// begin is where a node begins, in lines and columns from 0.
func begin(n ast.Node) (line, column int) {
	t := n.GetToken()
	if all := pairs(n); len(all) > 0 {
		t = all[0].Key.GetToken()
		if m, ok := n.(*ast.MappingNode); ok && m.IsFlowStyle {
			t = m.Start
		}
	}
	return t.Position.Line - 1, t.Position.Column - 1
}

// flow tells whether a mapping stands in braces.
func flow(n ast.Node) bool {
	m, ok := n.(*ast.MappingNode)
	return ok && m.IsFlowStyle
}

// set replaces a scalar.
func (d *document) set(n ast.Node, value string) error {
	line, column := begin(n)
	t := n.GetToken()
	length := len([]rune(t.Value))
	if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		length += 2
	}
	runes := []rune(d.lines[line])
	if column+length > len(runes) {
		return fmt.Errorf("line %d of the configuration is written in a way that cannot be changed here", line+1)
	}
	d.lines[line] = string(runes[:column]) + value + string(runes[column+length:])
	return d.parse()
}

// add puts a key with a value on one line into a mapping: behind its first key, in braces in front of it.
func (d *document) add(mapping ast.Node, key, value string) error {
	all := pairs(mapping)
	if len(all) == 0 {
		return fmt.Errorf("the configuration has something else than a mapping where %s belongs", key)
	}
	if flow(mapping) {
		line, column := begin(mapping)
		runes := []rune(d.lines[line])
		d.lines[line] = string(runes[:column+1]) + key + ": " + value + ", " + string(runes[column+1:])
		return d.parse()
	}
	line, column := begin(mapping)
	d.lines = slices.Insert(d.lines, line+1, strings.Repeat(" ", column)+key+": "+value)
	return d.parse()
}

// put sets a key, or adds it.
func (d *document) put(mapping ast.Node, key, value string) error {
	if present := get(mapping, key); present != nil {
		return d.set(present, value)
	}
	return d.add(mapping, key, value)
}

// block checks that a list is written one item below the other.
func block(list ast.Node, what string) error {
	if s, ok := list.(*ast.SequenceNode); !ok || s.IsFlowStyle || len(s.Values) == 0 {
		return fmt.Errorf("write %s one below the other, each behind a dash, to have them changed", what)
	}
	return nil
}

// span gives the lines of an item of a block list, with the comments right above it.
func (d *document) span(item ast.Node) (from, to int) {
	from, column := begin(item)
	dash := strings.LastIndex(d.lines[from][:min(column, len(d.lines[from]))], "-")
	to = from + 1
	for to < len(d.lines) {
		text := strings.TrimLeft(d.lines[to], " ")
		if text != "" && !strings.HasPrefix(text, "#") && len(d.lines[to])-len(text) <= dash {
			break
		}
		to++
	}
	for to > from+1 && (strings.TrimSpace(d.lines[to-1]) == "" || strings.HasPrefix(strings.TrimSpace(d.lines[to-1]), "#")) {
		to--
	}
	for from > 0 && strings.HasPrefix(strings.TrimSpace(d.lines[from-1]), "#") {
		indent := len(d.lines[from-1]) - len(strings.TrimLeft(d.lines[from-1], " "))
		if indent < dash { // it is about the whole list
			break
		}
		from--
	}
	return from, to
}

// before moves an item of a block list in front of another one that stands above it.
func (d *document) before(item, other ast.Node) error {
	from, to := d.span(item)
	at, _ := d.span(other)
	moved := slices.Clone(d.lines[from:to])
	if to < len(d.lines) && strings.TrimSpace(d.lines[to]) == "" { // an empty line between items goes along
		moved = append(moved, "")
		to++
	} else if strings.TrimSpace(d.lines[from-1]) == "" {
		moved = append(moved, "")
		from--
	}
	d.lines = slices.Delete(d.lines, from, to)
	d.lines = slices.Insert(d.lines, at, moved...)
	return d.parse()
}

// prepend puts new items in front of a block list.
func (d *document) prepend(list ast.Node, texts ...string) error {
	at, _ := d.span(items(list)[0])
	first, column := begin(items(list)[0])
	dash := strings.LastIndex(d.lines[first][:column], "-")
	for i := range texts {
		texts[i] = strings.Repeat(" ", dash) + "- " + texts[i]
	}
	d.lines = slices.Insert(d.lines, at, texts...)
	return d.parse()
}
