package wire

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/schemas"
)

func readDocument(t *testing.T, file string) string {
	t.Helper()
	data, err := schemas.FS.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var exampleBlock = regexp.MustCompile("(?s)<!-- example: (\\S+) -->\n```json\n(.*?)\n```")

// TestProtocolShowsTheExamples: each example in PROTOCOL.md is one of the files.
func TestProtocolShowsTheExamples(t *testing.T) {
	t.Parallel()
	blocks := exampleBlock.FindAllStringSubmatch(readDocument(t, "PROTOCOL.md"), -1)
	if len(blocks) < 4 {
		t.Fatalf("only %d examples", len(blocks))
	}
	for _, block := range blocks {
		data, err := fs.ReadFile(schemas.FS, "v1/examples/"+block[1])
		if err != nil {
			t.Error(err)
			continue
		}
		var shown, kept any
		if err := json.Unmarshal([]byte(block[2]), &shown); err != nil {
			t.Errorf("%s: %v", block[1], err)
		}
		if err := json.Unmarshal(data, &kept); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(shown, kept) {
			t.Errorf("the example %s differs from its file", block[1])
		}
	}
}

// TestProtocolTables: the tables of PROTOCOL.md have exactly the verbs, codes and events that there are.
func TestProtocolTables(t *testing.T) {
	t.Parallel()
	text := readDocument(t, "PROTOCOL.md")
	var verbs, mutations []string
	for kind, list := range map[Kind][]string{KindAgent: AgentVerbs(), KindAdmin: AdminVerbs(), KindQuery: QueryVerbs()} {
		for _, verb := range list {
			verbs = append(verbs, fmt.Sprintf("| %s | `%s` |", kind, verb))
			if _, ok := NewRequest(kind, verb).(Mutation); ok {
				mutations = append(mutations, verb)
			}
		}
	}
	sameSet(t, "verbs", regexp.MustCompile("(?m)^\\| \\w+ \\| `[a-z-]+` \\|").FindAllString(text, -1), verbs)
	sameSet(t, "verbs that change the ledger", submatches("(?m)^\\| \\w+ \\| `([a-z-]+)` \\| .* \\| yes \\|$", text), mutations)
	var codes []string
	for _, code := range Codes() {
		codes = append(codes, string(code))
	}
	sameSet(t, "codes", submatches("(?m)^\\| `([a-z_]+)` \\|", text), codes)
	sameSet(t, "events", submatches("(?m)^\\| `([a-z]+\\.[a-z]+)` \\|", text), eventKinds(t))
	sameSet(t, "codes in the schema", schemaCodes(t), codes)
	policy := quota.DefaultPolicy()
	for _, fact := range []string{
		fmt.Sprintf("at most %d KiB, an apply %d KiB", MaxRequestBytes>>10, MaxApplyBytes>>10), fmt.Sprintf("at most %d bytes and no control", MaxNameBytes),
		"`" + StreamEvents + "`", "`" + BucketSuggestions + "`", "`" + EventTypePrefix + "<kind>`", "`" + eventSourcePrefix + "<workspace>`",
		"`" + ServiceInboxRoot + ".reader`", fmt.Sprintf("(%d s by default)", policy.MinLease/quota.Second),
		fmt.Sprintf("the last %d of an agent", quota.MaxNoticesPerAgent),
		fmt.Sprintf("At most %d wait of an agent, and %d,%03d of a workspace", quota.MaxQueuedPerAgent, quota.MaxQueued/1000, quota.MaxQueued%1000),
		fmt.Sprintf("`expiring` soon (%d minute before, by default", policy.ExpiringNotice/quota.Minute),
	} {
		if !strings.Contains(text, fact) {
			t.Errorf("PROTOCOL.md does not say %q", fact)
		}
	}
}

func schemaCodes(t *testing.T) (codes []string) {
	t.Helper()
	code := property(property(compileSchemas(t)["error.reply"], "error"), "code")
	for _, v := range code.Enum.Values {
		codes = append(codes, v.(string))
	}
	return codes
}

// eventKinds are the kinds of [everyEvent], which are those that [EventKinds] lists.
func eventKinds(t *testing.T) []string {
	t.Helper()
	kinds := []string{KindSuggestionMade}
	for _, e := range everyEvent() {
		kinds = append(kinds, e.Kind())
	}
	sameSet(t, "listed kinds", EventKinds(), kinds)
	return kinds
}

func submatches(pattern, text string) (found []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func sameSet(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return
	}
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
	}
	t.Errorf("%s: the document lacks %q of the code, the code %q of the document (%d and %d in all)", what, without(want, got), without(got, want), len(got), len(want))
}

// asyncAPI is the part of an AsyncAPI 3 document that must agree with the code.
type asyncAPI struct {
	Version  string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address    string                       `yaml:"address"`
		Parameters map[string]map[string]string `yaml:"parameters"`
		Messages   map[string]map[string]string `yaml:"messages"`
	} `yaml:"channels"`
	Operations map[string]struct {
		Action  string            `yaml:"action"`
		Channel map[string]string `yaml:"channel"`
		Reply   struct {
			Messages []map[string]string `yaml:"messages"`
		} `yaml:"reply"`
	} `yaml:"operations"`
	Components struct {
		Messages map[string]struct {
			Payload struct {
				Schema map[string]string `yaml:"schema"`
			} `yaml:"payload"`
		} `yaml:"messages"`
	} `yaml:"components"`
}

// TestAsyncAPI: the document has a channel, an operation and messages for each subject, built by the code that builds
// subjects, and every message has its schema.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	var doc asyncAPI
	if err := yaml.Unmarshal([]byte(readDocument(t, "asyncapi.yaml")), &doc); err != nil {
		t.Fatal(err)
	}
	want := wantedChannels(t)
	sameSet(t, "channels", slices.Collect(maps.Keys(doc.Channels)), append(slices.Collect(maps.Keys(want)), "replies"))
	sameSet(t, "operations", slices.Collect(maps.Keys(doc.Operations)), slices.Collect(maps.Keys(want)))
	messages := []string{"error.reply", "notice.push"}
	for name, c := range want {
		channel, operation := doc.Channels[name], doc.Operations[name]
		if channel.Address != c.address {
			t.Errorf("%s: the address is %q, want %q", name, channel.Address, c.address)
		}
		sameSet(t, name+" parameters", slices.Collect(maps.Keys(channel.Parameters)), submatches(`\{(\w+)\}`, c.address))
		if operation.Action != c.action || operation.Channel["$ref"] != "#/channels/"+name {
			t.Errorf("%s: the operation is %+v", name, operation)
		}
		for _, m := range c.messages {
			messages = append(messages, m)
			if ref := channel.Messages[c.label]["$ref"]; ref != "#/components/messages/"+c.messages[0] {
				t.Errorf("%s: the message is %q", name, ref)
			}
		}
		if c.action == "receive" && (len(operation.Reply.Messages) != 2 || operation.Reply.Messages[0]["$ref"] != "#/channels/replies/messages/"+name+".reply") {
			t.Errorf("%s: the reply is %+v", name, operation.Reply)
		}
	}
	slices.Sort(messages)
	sameSet(t, "messages", slices.Collect(maps.Keys(doc.Components.Messages)), slices.Compact(messages))
	compiled := compileSchemas(t)
	for name, m := range doc.Components.Messages {
		if m.Payload.Schema["$ref"] != "./v1/"+name+schemaSuffix || compiled[name] == nil {
			t.Errorf("message %s has the schema %q", name, m.Payload.Schema)
		}
	}
}

type wantedChannel struct {
	address, action, label string
	messages               []string
}

// wantedChannels builds each address with names that need no encoding, and puts parameters in their place.
func wantedChannels(t *testing.T) map[string]wantedChannel {
	t.Helper()
	want := map[string]wantedChannel{}
	add := func(name, action, label string, s Subject, messages ...string) {
		s.Workspace, s.Principal = "WORKSPACE", "PRINCIPAL"
		if s.Kind.hasAgent() {
			s.Agent = "AGENT"
		}
		subject, err := s.Build()
		if err != nil {
			t.Fatal(err)
		}
		address := strings.NewReplacer("WORKSPACE", "{workspace}", "PRINCIPAL", "{principal}", "AGENT", "{agent}").Replace(subject)
		want[name] = wantedChannel{address, action, label, messages}
	}
	for kind, verbs := range map[Kind][]string{KindAgent: AgentVerbs(), KindAdmin: AdminVerbs(), KindQuery: QueryVerbs()} {
		for _, verb := range verbs {
			name := string(kind) + "." + verb
			add(name, "receive", "request", Subject{Kind: kind, Verb: verb}, name+".request", name+".reply")
		}
	}
	add("notice", "send", "push", Subject{Kind: KindNotice}, "notice.push")
	for _, kind := range eventKinds(t) {
		add("event."+kind, "send", "event", Subject{Kind: KindEvent, Verb: kind}, "event."+kind)
	}
	return want
}
