package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/bursarhq/bursar/schemas"
)

const schemaFile = "v1/config.schema.json"

// schema is the compiled configuration schema beside its plain JSON, from which hints are made.
type schema struct {
	compiled *jsonschema.Schema
	plain    any
}

// loadSchema compiles the embedded schema, once. An error means that the program was built from a faulty one.
var loadSchema = sync.OnceValues(compileSchema)

func compileSchema() (*schema, error) {
	data, err := schemas.FS.ReadFile(schemaFile)
	if err != nil {
		return nil, fmt.Errorf("read configuration schema: %w", err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode configuration schema: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(schemaFile, plain); err != nil {
		return nil, fmt.Errorf("add configuration schema: %w", err)
	}
	compiled, err := compiler.Compile(schemaFile)
	if err != nil {
		return nil, fmt.Errorf("compile configuration schema: %w", err)
	}
	return &schema{compiled, plain}, nil
}

// check validates the document and records each violation. It returns the places that are not to be looked at further.
func (s *schema) check(c *collector) []pointer {
	err := s.compiled.Validate(c.doc.root)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var places []pointer
	s.leaves(invalid, func(e *jsonschema.ValidationError) {
		places = append(places, s.report(c, e)...)
	})
	return places
}

// leaves visits the violations that have no causes of their own.
func (s *schema) leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
		return
	}
	for _, cause := range e.Causes {
		s.leaves(cause, visit)
	}
}

// report words one violation and gives its places.
func (s *schema) report(c *collector, e *jsonschema.ValidationError) []pointer {
	at := pointer(e.InstanceLocation)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		known := s.properties(e.SchemaURL)
		places := make([]pointer, 0, len(k.Properties))
		for _, name := range k.Properties {
			below := at.child(name)
			c.addKey(below, "unknown key", nearest(name, known, ""))
			places = append(places, below)
		}
		return places
	case *kind.Required:
		for _, name := range k.Missing {
			c.add(at, fmt.Sprintf("%s is missing", name), exampleAt(at, name))
		}
	case *kind.Dependency:
		c.add(at, fmt.Sprintf("%s needs %s beside it", k.Prop, strings.Join(k.Missing, " and ")), "")
	case *kind.DependentRequired:
		c.add(at, fmt.Sprintf("%s needs %s beside it", k.Prop, strings.Join(k.Missing, " and ")), "")
	case *kind.FalseSchema:
		c.addKey(at, s.misplaced(c, at), "leave it out")
	case *kind.Not:
		c.add(at, "model_group and each_model_group exclude each other", "leave one of them out")
	default:
		message, hint := wordValue(e.ErrorKind, at, lookup(c.doc.root, at))
		c.add(at, message, hint)
	}
	return []pointer{at}
}

// wordValue words a violation of a single value.
func wordValue(k jsonschema.ErrorKind, at pointer, value any) (message, hint string) {
	name := at.name()
	switch k := k.(type) {
	case *kind.Type:
		if text, ok := value.(string); ok && beyondInt64(text) { // YAML reads such a number as text
			return text + " is too large", exampleAt(at, name)
		}
		return fmt.Sprintf("must be %s, not %s", typeNames(k.Want), described(value, k.Got)), exampleAt(at, name)
	case *kind.Enum:
		return fmt.Sprintf("%s is not one of the values allowed", show(k.Got)), "write " + oneOf(k.Want)
	case *kind.Const:
		return fmt.Sprintf("must be %s, not %s", show(k.Want), show(k.Got)), ""
	case *kind.Pattern:
		return fmt.Sprintf("%s is not written as it must be", show(k.Got)), exampleAt(at, name)
	case *kind.Minimum:
		return fmt.Sprintf("%s is too small", rational(k.Got)), "write " + rational(k.Want) + " or more"
	case *kind.Maximum:
		return fmt.Sprintf("%s is too large", rational(k.Got)), "write " + rational(k.Want) + " or less"
	case *kind.MinItems:
		return "the list is empty", fmt.Sprintf("write at least %d", k.Want)
	case *kind.MinProperties:
		return "the mapping is empty", exampleAt(at, name)
	case *kind.MaxItems:
		return fmt.Sprintf("the list has %d entries, at most %d are accepted", k.Got, k.Want), "leave some out"
	case *kind.MinLength:
		return "the text is empty", exampleAt(at, name)
	case *kind.MaxLength:
		return fmt.Sprintf("the text has %d characters, at most %d are accepted", k.Got, k.Want), "shorten it"
	case *kind.UniqueItems:
		return fmt.Sprintf("entries %d and %d are the same", k.Duplicates[0]+1, k.Duplicates[1]+1), "leave one of them out"
	}
	return "not valid: " + strings.Join(k.KeywordPath(), "/"), ""
}

func beyondInt64(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return errors.Is(err, strconv.ErrRange)
}

// described shows a small value, and names the type of a large one.
func described(value any, gotType string) string {
	switch value.(type) {
	case string:
		return "text " + show(value)
	case map[string]any, []any, nil:
		return typeNames([]string{gotType})
	}
	return show(value)
}

// misplaced says beside what a key of a window does not belong.
func (s *schema) misplaced(c *collector, at pointer) string {
	key := at[len(at)-1]
	window, _ := lookup(c.doc.root, at[:len(at)-1]).(map[string]any)
	if window["kind"] == "calendar" && key != "duration" && key != "burst" {
		return fmt.Sprintf("does not go with period %v", window["period"])
	}
	return fmt.Sprintf("does not go with a %v window", window["kind"])
}

// lookup follows a pointer into plain values; nil if it leads nowhere.
func lookup(value any, at pointer) any {
	for _, step := range at {
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			var i int
			if _, err := fmt.Sscanf(step, "%d", &i); err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// properties lists the keys that the schema at a URL knows.
func (s *schema) properties(url string) []string {
	_, fragment, _ := strings.Cut(url, "#")
	var at pointer
	for step := range strings.SplitSeq(strings.Trim(fragment, "/"), "/") {
		if step != "" {
			at = append(at, step)
		}
	}
	object, _ := lookup(s.plain, at).(map[string]any)
	known, _ := object["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(known))
}

func typeNames(types []string) string {
	words := map[string]string{
		"object": "a mapping", "array": "a list", "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "nothing",
	}
	named := make([]string, len(types))
	for i, t := range types {
		named[i] = words[t]
	}
	return strings.Join(named, " or ")
}

func show(v any) string {
	data, err := json.Marshal(v)
	const most = 80
	if err != nil || len(data) > most {
		return "this value"
	}
	return string(data)
}

func oneOf(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return choice(words)
}

// choice writes "a, b or c".
func choice(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func rational(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return r.FloatString(3)
}
