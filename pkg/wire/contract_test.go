package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/schemas"
)

// A contract binds a schema to the Go struct that carries it.
type contract struct {
	name   string // of the schema, without .schema.json
	strict bool   // a request: unknown fields are refused
	carry  reflect.Type
	decode func(data []byte) (any, error)
	encode func(v any) []byte
}

// contracts lists every schema of the wire.
func contracts() []contract {
	list := []contract{
		replyContract("error.reply", ErrorReply{}), replyContract("notice.push", Notice{}),
	}
	replies := map[string]any{
		"agent.estimate": EstimateReply{}, "agent.status": StatusReply{}, "agent.list": ReservationsReply{}, "agent.observe": ObserveReply{},
		"admin.apply": ApplyReply{}, "admin.get-config": ConfigReply{}, "admin.accounts": AccountsReply{}, "admin.reservations": ReservationsReply{}, "admin.queue": QueueReply{}, "admin.estimates": EstimatesReply{},
		"admin.hold": BlockReply{}, "admin.resume": BlockReply{}, "admin.verify": VerifyReply{},
		"query.summary": SummaryReply{}, "query.history": HistoryReply{}, "query.peaks": PeaksReply{}, "query.forecast": ForecastReply{},
	}
	for kind, verbs := range map[Kind][]string{KindAgent: AgentVerbs(), KindAdmin: AdminVerbs(), KindQuery: QueryVerbs()} {
		for _, verb := range verbs {
			name := string(kind) + "." + verb
			list = append(list, requestContract(kind, verb))
			reply, ok := replies[name]
			if !ok {
				reply = ReservationReply{}
			}
			list = append(list, replyContract(name+".reply", reply))
		}
	}
	for _, e := range everyEvent() {
		if data := publicData(e); data != nil { // else TestEveryEventIsPublic says what to do
			list = append(list, eventContract(e.Kind(), data))
		}
	}
	return append(list, eventContract(KindSuggestionMade, &Suggestion{}), replyContract("suggestions.value", SuggestionList{}), replyContract("dismissals.value", SuggestionDismissals{}))
}

func requestContract(kind Kind, verb string) contract {
	return contract{
		name: string(kind) + "." + verb + ".request", strict: true, carry: reflect.TypeOf(NewRequest(kind, verb)).Elem(),
		decode: func(data []byte) (any, error) { return DecodeRequest(kind, verb, data) },
		encode: func(v any) []byte { return v.(Request).Append(nil) },
	}
}

func replyContract(name string, reply any) contract {
	carry := reflect.TypeOf(reply)
	return contract{
		name: name, carry: carry,
		decode: func(data []byte) (any, error) {
			v := reflect.New(carry).Interface()
			notices, err := DecodeReply(data, v)
			if _, isError := v.(*ErrorReply); !isError {
				return v, err
			}
			if refused, ok := errors.AsType[*Error](err); ok {
				return &ErrorReply{*refused, notices}, nil
			}
			return nil, fmt.Errorf("not a refusal: %w", err)
		},
		encode: func(v any) []byte {
			if a, ok := v.(interface{ Append([]byte) []byte }); ok {
				return a.Append(nil)
			}
			return AppendReply(nil, v)
		},
	}
}

// eventPair is an event with its data decoded.
type eventPair struct {
	envelope Event
	data     any
}

func eventContract(kind string, form any) contract {
	carry := reflect.TypeOf(form).Elem()
	return contract{
		name: "event." + kind, carry: carry,
		decode: func(data []byte) (any, error) {
			envelope, err := DecodeEvent(data)
			if err != nil {
				return nil, err
			}
			v := reflect.New(carry).Interface()
			return eventPair{envelope, v}, envelope.Into(v)
		},
		encode: func(v any) []byte {
			pair := v.(eventPair)
			pair.envelope.Data, _ = encodeData(pair.data) // an encoding that fails is told by the comparison
			return pair.envelope.Append(nil)
		},
	}
}

const schemaSuffix = ".schema.json"

// compileSchemas compiles every schema, with formats asserted.
func compileSchemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	files, err := fs.Glob(schemas.FS, "v1/*"+schemaSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := schemas.FS.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		id := SchemaRoot + strings.TrimPrefix(file, "v1/")
		if got := plain.(map[string]any)["$id"]; got != id {
			t.Errorf("%s has $id %v, want %s", file, got, id)
		}
		if err := compiler.AddResource(id, plain); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	compiled := map[string]*jsonschema.Schema{}
	for _, file := range files {
		name := strings.TrimPrefix(file, "v1/")
		schema, err := compiler.Compile(SchemaRoot + name)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		compiled[strings.TrimSuffix(name, schemaSuffix)] = schema
	}
	return compiled
}

// TestSchemasAreComplete: each schema has a struct, and each struct a schema.
func TestSchemasAreComplete(t *testing.T) {
	t.Parallel()
	compiled := compileSchemas(t)
	known := map[string]bool{"config": true, "common": true, "event": true} // of pkg/config, and parts of the others
	for _, c := range contracts() {
		known[c.name] = true
		if compiled[c.name] == nil {
			t.Errorf("there is no schema %s", c.name)
		}
	}
	for name := range compiled {
		if !known[name] {
			t.Errorf("schema %s belongs to no struct", name)
		}
	}
}

// TestSchemasAgreeWithStructs: every field of the struct is in the schema with its type, and the other way round.
func TestSchemasAgreeWithStructs(t *testing.T) {
	t.Parallel()
	compiled := compileSchemas(t)
	for _, c := range contracts() {
		schema := compiled[c.name]
		if schema == nil {
			continue // told by TestSchemasAreComplete
		}
		if strings.HasPrefix(c.name, "event.") {
			agree(t, "event", reflect.TypeOf(Event{}), compiled["event"], false)
			schema = property(schema, "data")
		}
		agree(t, c.name, c.carry, schema, c.strict)
	}
}

// TestEveryFieldOfAReplyIsWritten: what encodes replies writes what their structs say.
func TestEveryFieldOfAReplyIsWritten(t *testing.T) {
	t.Parallel()
	for _, c := range contracts() {
		if c.strict || strings.HasPrefix(c.name, "event.") {
			continue
		}
		v := reflect.New(c.carry)
		fillAll(v.Elem(), true)
		ours := c.encode(v.Interface())
		theirs, err := json.Marshal(v.Interface())
		if err != nil || !sameJSON(t, ours, theirs) {
			t.Errorf("%s: its list of fields lacks or misspells one: it writes\n%s\nand the struct is\n%s (%v)", c.name, ours, theirs, err)
		}
	}
}

// property finds a property of an object schema, through references.
func property(s *jsonschema.Schema, name string) *jsonschema.Schema {
	for s != nil {
		if p := s.Properties[name]; p != nil {
			return p
		}
		s = s.Ref
	}
	return nil
}

// resolve follows references to where the type is said.
func resolve(s *jsonschema.Schema) *jsonschema.Schema {
	for s != nil && s.Ref != nil && s.Types == nil && s.Enum == nil && s.Const == nil {
		s = s.Ref
	}
	return s
}

// agree compares a Go type with a schema.
func agree(t *testing.T, path string, typ reflect.Type, schema *jsonschema.Schema, strict bool) {
	t.Helper()
	schema = resolve(schema)
	if schema == nil {
		t.Errorf("%s: the schema says nothing", path)
		return
	}
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := jsonType(typ)
	if schema.Types != nil && schema.Types.String() != "["+want+"]" || schema.Types == nil && want != "string" {
		t.Errorf("%s: the schema says %v, the struct %s", path, schema.Types, want)
		return
	}
	switch {
	case typ == reflect.TypeOf(json.RawMessage{}) || want == "string" || want == "number":
	case typ.Kind() == reflect.Slice:
		agree(t, path+"[]", typ.Elem(), schema.Items2020, strict)
	case typ.Kind() == reflect.Struct:
		agreeFields(t, path, typ, schema, strict)
	}
}

func agreeFields(t *testing.T, path string, typ reflect.Type, schema *jsonschema.Schema, strict bool) {
	t.Helper()
	required := map[string]bool{}
	for _, name := range schema.Required {
		required[name] = true
	}
	fields := map[string]bool{}
	for _, f := range reflect.VisibleFields(typ) {
		if f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = true
		p := schema.Properties[name]
		if p == nil {
			t.Errorf("%s: field %s is not in the schema", path, name)
			continue
		}
		if optional := strings.Contains(options, "omitzero"); optional == required[name] {
			t.Errorf("%s: the schema says required %t of %s, the struct says %t", path, required[name], name, !optional)
		}
		agree(t, path+"."+name, f.Type, p, strict)
	}
	for name := range schema.Properties {
		if !fields[name] {
			t.Errorf("%s: property %s is not in the struct", path, name)
		}
	}
	if closed := schema.AdditionalProperties == false; closed != strict {
		t.Errorf("%s: the schema is closed %t, want %t", path, closed, strict)
	}
}

// jsonType is the JSON type that a Go type is written as.
func jsonType(typ reflect.Type) string {
	switch typ {
	case reflect.TypeOf(Time(0)):
		return "string"
	case reflect.TypeOf(Percent(0)):
		return "number"
	case reflect.TypeOf(json.RawMessage{}):
		return "object"
	}
	switch typ.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Slice:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return fmt.Sprintf("unknown type %s", typ)
}

// What a configuration leaves empty is an empty list or object on the wire, not null, which the schemas refuse.
func TestEmptyPartsOfAConfiguration(t *testing.T) {
	t.Parallel()
	reply := &ConfigReply{ConfigVersion: 1, Config: ConfigOf(&quota.Config{
		Version: 1, Providers: []quota.Provider{{Name: "claude", Tiers: []quota.Tier{{Name: "seat"}}}},
		Limits: []quota.Limit{{ID: "w", Unit: quota.UnitRequests, Window: quota.Window{Kind: quota.WindowConcurrent}, Unwarned: true}},
	})}
	text := string(AppendReply(nil, reply))
	for _, want := range []string{`"thresholds_percent":[]`, `"capacities":{}`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	if strings.Contains(text, "null") {
		t.Errorf("null in %s", text)
	}
}
