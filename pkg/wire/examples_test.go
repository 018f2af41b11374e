package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bursarhq/bursar/schemas"
)

func readExamples(t testing.TB, name, class string) map[string][]byte {
	t.Helper()
	files, err := fs.Glob(schemas.FS, "v1/examples/"+name+"/"+class+"/*.json")
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string][]byte{}
	for _, file := range files {
		data, err := schemas.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		examples[path.Base(file)] = data
	}
	return examples
}

func validate(schema *jsonschema.Schema, data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// TestExamples: valid examples are valid, decode, and encode to the same again; invalid ones fail on both sides.
func TestExamples(t *testing.T) {
	t.Parallel()
	compiled := compileSchemas(t)
	for _, c := range contracts() {
		schema := compiled[c.name]
		if schema == nil {
			continue // told by TestSchemasAreComplete
		}
		valid, invalid := readExamples(t, c.name, "valid"), readExamples(t, c.name, "invalid")
		if len(valid) == 0 || len(invalid) == 0 {
			t.Errorf("%s has %d valid and %d invalid examples", c.name, len(valid), len(invalid))
		}
		for file, data := range valid {
			checkValid(t, c, schema, file, data)
		}
		for file, data := range invalid {
			if err := validate(schema, data); err == nil {
				t.Errorf("%s/invalid/%s: the schema finds nothing wrong", c.name, file)
			}
			if v, err := c.decode(data); err == nil {
				t.Errorf("%s/invalid/%s: decodes to %+v", c.name, file, v)
			}
		}
	}
}

func checkValid(t *testing.T, c contract, schema *jsonschema.Schema, file string, data []byte) {
	t.Helper()
	if err := validate(schema, data); err != nil {
		t.Errorf("%s/valid/%s: %v", c.name, file, err)
	}
	v, err := c.decode(data)
	if err != nil {
		t.Errorf("%s/valid/%s: %v", c.name, file, err)
		return
	}
	again := c.encode(v)
	if err := validate(schema, again); err != nil {
		t.Errorf("%s/valid/%s, encoded again: %v", c.name, file, err)
	}
	var before, after any
	if err := json.Unmarshal(data, &before); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &after); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("%s/valid/%s becomes\n%s", c.name, file, again)
	}
}

// TestEveryFieldHasAnExample: the valid examples of each request together use all of its fields.
func TestEveryFieldHasAnExample(t *testing.T) {
	t.Parallel()
	for _, c := range contracts() {
		if !c.strict {
			continue
		}
		used := map[string]bool{}
		for _, data := range readExamples(t, c.name, "valid") {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(data, &fields); err != nil {
				t.Fatal(err)
			}
			for name := range fields {
				used[name] = true
			}
		}
		for _, f := range reflect.VisibleFields(c.carry) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !f.Anonymous && !used[name] {
				t.Errorf("%s: no valid example has %s", c.name, name)
			}
		}
	}
}

// TestSchemaAndDecoderRefuseTheSame changes each field of each valid request in many ways, among them just inside and
// outside of every bound that the schema states, and expects the schema and the decoder to agree on each.
func TestSchemaAndDecoderRefuseTheSame(t *testing.T) {
	t.Parallel()
	compiled := compileSchemas(t)
	tried, refused := 0, 0
	for _, c := range contracts() {
		schema := compiled[c.name]
		if !c.strict || schema == nil {
			continue
		}
		for file, data := range readExamples(t, c.name, "valid") {
			root, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			mutate(root, schema, func(what string) {
				changed, err := json.Marshal(root)
				if err != nil {
					t.Fatal(err)
				}
				bySchema := validate(schema, changed)
				_, byDecoder := c.decode(changed)
				tried++
				if bySchema != nil {
					refused++
				}
				if (bySchema == nil) != (byDecoder == nil) {
					t.Errorf("%s, %s, %s:\nschema: %v\ndecoder: %v", c.name, file, what, bySchema, byDecoder)
				}
			})
		}
	}
	t.Logf("%d documents, %d of them refused by both", tried, refused)
	if tried < 1000 || refused < tried/4 {
		t.Errorf("only %d documents were tried, of which %d were refused", tried, refused)
	}
}

// mutate changes one thing at a time in a document and calls check while it is changed.
func mutate(v any, schema *jsonschema.Schema, check func(what string)) {
	switch v := v.(type) {
	case map[string]any:
		v["no_such_field"] = json.Number("1")
		check("an unknown field")
		delete(v, "no_such_field")
		for name, kept := range v {
			p := property(schema, name)
			delete(v, name)
			check("without " + name)
			for _, other := range others(p) {
				v[name] = other
				check(fmt.Sprintf("%s = %.80v", name, other))
			}
			v[name] = kept
			mutate(kept, p, check)
		}
	case []any:
		for _, item := range v {
			mutate(item, resolve(schema).Items2020, check)
		}
	}
}

// others lists values to put in place of a property.
func others(p *jsonschema.Schema) []any {
	values := []any{
		nil, true, "", "x", "a\u0007b", "2026-03-01T09:30:00Z", strings.Repeat("x", MaxNameBytes), strings.Repeat("x", MaxNameBytes+1),
		strings.Repeat("x", MaxTextBytes), strings.Repeat("x", MaxTextBytes+1), json.Number("0"), json.Number("-1"), json.Number("1"),
		json.Number("1.5"), json.Number("9223372036854775808"), []any{}, map[string]any{}, []any{nil}, testID,
	}
	for ; p != nil; p = p.Ref {
		if p.Minimum != nil {
			values = append(values, json.Number(p.Minimum.Num().String()))
		}
		if p.Maximum != nil {
			n := p.Maximum.Num().Int64()
			values = append(values, json.Number(fmt.Sprint(n)), json.Number(fmt.Sprint(n+1)))
		}
		if p.MaxLength != nil {
			values = append(values, strings.Repeat("x", *p.MaxLength), strings.Repeat("x", *p.MaxLength+1))
		}
		if p.MaxItems != nil {
			item := any(map[string]any{})
			if resolve(p.Items2020).Types.String() == "[integer]" {
				item = json.Number("7")
			}
			items := make([]any, *p.MaxItems+1)
			for i := range items {
				items[i] = item
			}
			values = append(values, items[1:], items)
		}
		if p.Enum != nil {
			values = append(values, p.Enum.Values...)
		}
	}
	return values
}
