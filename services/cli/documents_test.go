package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/importer"
	"github.com/bursarhq/bursar/services/cli/internal/otlp"
	"github.com/bursarhq/bursar/services/cli/internal/replay"
	"github.com/bursarhq/bursar/services/cli/internal/story"
)

// shape are the members of a documented object; nil for a value that is no object, or is documented elsewhere.
type shape map[string]shape

var shapeToken = regexp.MustCompile(`[{}\[\]]|"[a-z_0-9]+"|[,:]|[^\s{}\[\]",:]+`)

// readShape reads an object as docs/cli.md writes it: {"a","b":{"c"},"d":[{"e"}],"f":TYPE}. It returns what follows.
func readShape(tokens []string) (shape, []string) {
	s := shape{}
	name, last, token := "", "", ""
	for len(tokens) > 0 {
		last, token, tokens = token, tokens[0], tokens[1:]
		switch {
		case token == "{":
			s[name], tokens = readShape(tokens)
		case token == "}":
			return s, tokens
		case strings.HasPrefix(token, `"`) && last != ":": // behind a colon it is a value
			name = strings.Trim(token, `"`)
			s[name] = nil
		}
	}
	return s, nil
}

// shapesOf reads the objects that stand in code spans of a section of docs/cli.md.
func shapesOf(section string) (list []shape) {
	for _, span := range regexp.MustCompile("`\\[?\\{[^`]+`").FindAllString(section, -1) {
		tokens := shapeToken.FindAllString(span, -1)
		for len(tokens) > 0 && tokens[0] != "{" {
			tokens = tokens[1:]
		}
		if len(tokens) > 0 {
			s, _ := readShape(tokens[1:])
			list = append(list, s)
		}
	}
	return list
}

// differs compares what is documented with the members of a struct. A member that may be absent may be told in words.
func differs(section string, documented shape, of reflect.Type) (faults []string) {
	seen := map[string]bool{}
	for i := range of.NumField() {
		name, options, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		seen[name] = true
		below, told := documented[name]
		inWords := strings.Contains(options, "omit") && strings.Contains(section, "`"+name+"`")
		if !told && !inWords {
			faults = append(faults, name+" is not documented")
		}
		inner := of.Field(i).Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if len(below) > 0 && inner.Kind() == reflect.Struct {
			for _, fault := range differs(section, below, inner) {
				faults = append(faults, name+": "+fault)
			}
		}
	}
	for name := range documented {
		if !seen[name] {
			faults = append(faults, name+" does not exist")
		}
	}
	return faults
}

// TestDocumentedShapes holds docs/cli.md to what the commands write with --json.
func TestDocumentedShapes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	conventions, _, _ := strings.Cut(string(page), "\n## Which Bursar")
	for command, documents := range map[string][]any{
		"up": {readyEvent{}}, "page": {pageDocument{}}, "status": {statusDocument{}, statusWarning{}}, "history": {historyDocument{}},
		"forecast": {wire.ForecastReply{}}, "list": {wire.ReservationsReply{}}, "queue": {wire.QueueReply{}}, "accounts": {wire.AccountsReply{}},
		"estimate": {wire.EstimateReply{}, wire.EstimatesReply{}}, "observe": {observeView{}}, "statusline": {statusLineView{}},
		"apply": {wire.ApplyReply{}, checkDocument{}}, "hold": {wire.BlockReply{}}, "verify": {verifyDocument{}}, "explain": {story.Story{}},
		"replay": {replay.Summary{}}, "simulate": {simulation{}}, "import": {importer.Summary{}}, "otlp": {receivingEvent{}, otlp.Tally{}},
		"notify": {notifyResult{}}, "bench": {benchDocument{}}, "version": {versionDocument{}}, "suggest": {appliedDocument{}, wire.SuggestionList{}},
	} {
		_, section, ok := strings.Cut(string(page), "\n### bursar "+command+"\n")
		if !ok {
			t.Errorf("no section of %s", command)
			continue
		}
		section, _, _ = strings.Cut(section, "\n### ")
		shapes := shapesOf(strings.ReplaceAll(section, "```json\n", "`"))
		section += conventions
		for _, document := range documents {
			of := reflect.TypeOf(document)
			var closest []string
			for i, s := range shapes {
				if faults := differs(section, s, of); i == 0 || len(faults) < len(closest) {
					closest = faults
				}
			}
			if len(shapes) == 0 || len(closest) > 0 {
				t.Errorf("%s: the shape of %s: %q", command, of, closest)
			}
		}
	}
}
