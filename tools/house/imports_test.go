package house

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const modulePrefix = "github.com/bursarhq/bursar/"

// pureImports are the packages of the standard library that would let a clock, the network, the
// machine or chance into pkg/quota.
var pureImports = []string{"net", "os", "io/fs", "math/rand", "math/rand/v2", "crypto/rand", "log", "log/slog", "runtime", "syscall", "unsafe"}

// TestDirectionOfImports holds services → pkg → schemas, one service apart from the other, and
// pkg/quota on the standard library alone.
func TestDirectionOfImports(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, name := range tracked(t) {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		checked++
		for _, imported := range imports(t, name) {
			if fault := importFault(name, imported); fault != "" {
				t.Errorf("%s imports %s: %s", name, imported, fault)
			}
		}
	}
	if checked == 0 {
		t.Error("no Go file was found: the test looks in the wrong place")
	}
}

func TestImportFault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, imported string
		wantFault            bool
	}{
		{"a service uses pkg", "services/allocator/serve.go", modulePrefix + "pkg/quota", false},
		{"pkg uses a service", "pkg/client/client.go", modulePrefix + "services/allocator", true},
		{"schemas uses pkg", "schemas/embed.go", modulePrefix + "pkg/wire", true},
		{"pkg uses schemas", "pkg/wire/wire_test.go", modulePrefix + "schemas", false},
		{"a service uses another", "services/analytics/a.go", modulePrefix + "services/allocator", true},
		{"a test uses the services' test site", "services/analytics/a_test.go", modulePrefix + "services/internal/site", false},
		{"a service uses the test site", "services/analytics/a.go", modulePrefix + "services/internal/site", true},
		{"the CLI runs a service", "services/cli/internal/up/up.go", modulePrefix + "services/allocator", false},
		{"a service uses itself", "services/allocator/cmd/bursar-allocator/main.go", modulePrefix + "services/allocator", false},
		{"the domain uses the library", "pkg/quota/decide.go", "slices", false},
		{"the domain uses a clock's home", "pkg/quota/decide.go", "os", true},
		{"the domain uses another module", "pkg/quota/decide.go", "github.com/google/uuid", true},
		{"the domain uses our own module", "pkg/quota/decide.go", modulePrefix + "pkg/wire", true},
		{"a test of the domain may", "pkg/quota/decide_test.go", "pgregory.net/rapid", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if fault := importFault(tt.file, tt.imported); (fault != "") != tt.wantFault {
				t.Errorf("fault %q, want one: %v", fault, tt.wantFault)
			}
		})
	}
}

// importFault says why a file may not import a package, or "" when it may.
func importFault(file, imported string) string {
	own, ours := strings.CutPrefix(imported, modulePrefix)
	layer, service := layerOf(file)
	toLayer, toService := layerOf(own + "/x.go")
	isTest := strings.HasSuffix(file, "_test.go")
	switch {
	case path.Dir(file) == "pkg/quota" && !isTest:
		return domainFault(imported)
	case !ours:
		return ""
	case layer == "schemas" && toLayer != "schemas":
		return "schemas imports nothing of ours"
	case layer == "pkg" && toLayer == "services":
		return "pkg is below services"
	case layer == "services" && toLayer == "services" && service != "cli" && service != toService && (!isTest || toService != "internal"):
		return "services meet on the wire, or in the CLI that runs them together"
	default:
		return ""
	}
}

func domainFault(imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	if strings.Contains(first, ".") {
		return "pkg/quota imports the standard library only"
	}
	for _, impure := range pureImports {
		if imported == impure || (impure == "net" && first == "net") {
			return "pkg/quota takes time, chance and the outside as arguments"
		}
	}
	return ""
}

// layerOf gives the module and, under services, the service of a file.
func layerOf(file string) (layer, service string) {
	parts := strings.Split(file, "/")
	if len(parts) > 2 && parts[0] == "services" {
		return parts[0], parts[1]
	}
	return parts[0], ""
}

func imports(t *testing.T, name string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, imported)
	}
	return found
}
