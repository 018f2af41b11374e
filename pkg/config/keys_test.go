package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
)

// TestEveryKeyHasAnEffect: some valid example states each key of the file, and says something else without it. A key that the
// schema and a struct have, and the builder forgets, is found here.
func TestEveryKeyHasAnEffect(t *testing.T) {
	t.Parallel()
	sections := map[string]reflect.Type{
		"providers": reflect.TypeFor[[]rawProvider](), "accounts": reflect.TypeFor[[]rawAccount](), "limits": reflect.TypeFor[[]rawLimit](),
		"principals": reflect.TypeFor[[]rawPrincipal](), "unlisted": reflect.TypeFor[rawPrincipal](), "policy": reflect.TypeFor[rawPolicy](),
		"prices": reflect.TypeFor[[]rawPrice](), "teams": reflect.TypeFor[[]rawTeam](),
	}
	effect := map[string]bool{} // by type and key
	for _, section := range sections {
		keysOf(section, effect)
	}
	files := exampleFiles(t, "valid")
	files["default.yaml"] = DefaultYAML()
	for name, data := range files {
		want, err := Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		c := &collector{file: name}
		if !c.read(data) {
			t.Fatal(c.err())
		}
		root := c.doc.root.(map[string]any)
		differs := func() bool {
			without, err := json.Marshal(root) // JSON is YAML
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(name, without)
			return err != nil || !reflect.DeepEqual(got, want)
		}
		for section, typ := range sections {
			eachKey(root[section], typ, func(key string, in map[string]any, member string) {
				if effect[key] {
					return
				}
				value := in[member]
				delete(in, member)
				effect[key] = differs()
				in[member] = value
			})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(effect)) {
		if !effect[key] {
			t.Errorf("%s: no example in schemas/v1/examples/config/valid states it, or it changes nothing there: add it to one, and see that the builder uses it", key)
		}
	}
}

// elem is what a list or an optional value is of.
func elem(typ reflect.Type) reflect.Type {
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	return typ
}

// keysOf lists the keys of a type and of all within it.
func keysOf(typ reflect.Type, keys map[string]bool) {
	if typ = elem(typ); typ.Kind() != reflect.Struct {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		keys[typ.Name()+"."+f.Tag.Get("json")] = false
		keysOf(f.Type, keys)
	}
}

// eachKey visits the members of the mappings in a value, each with the mapping that it stands in.
func eachKey(value any, typ reflect.Type, visit func(key string, in map[string]any, member string)) {
	if list, ok := value.([]any); ok {
		for _, item := range list {
			eachKey(item, typ, visit)
		}
		return
	}
	mapping, ok := value.(map[string]any)
	if typ = elem(typ); !ok || typ.Kind() != reflect.Struct {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		member := f.Tag.Get("json")
		if _, stated := mapping[member]; stated {
			visit(typ.Name()+"."+member, mapping, member)
			eachKey(mapping[member], f.Type, visit)
		}
	}
}
