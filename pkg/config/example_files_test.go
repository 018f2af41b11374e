package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/schemas"
)

const examplesDir = "v1/examples/config/"

// update rewrites the expectations of the examples that are to be refused: go test ./config -run Refused -update.
var update = flag.Bool("update", false, "rewrite the # want lines of refused examples")

func exampleFiles(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	entries, err := fs.ReadDir(schemas.FS, examplesDir+folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := fs.ReadFile(schemas.FS, path.Join(examplesDir, folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = data
	}
	return found
}

func TestValidExamples(t *testing.T) {
	t.Parallel()
	files := exampleFiles(t, "valid")
	if len(files) < 7 {
		t.Fatalf("only %d examples", len(files))
	}
	for name, data := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Parse(name, data); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Each refused example ends in "# want" lines: exactly the faults it has, as line:column: path: message; hint. Those in
// the folder invalid are refused by the schema or the form, those in refused only by what the program knows besides.
func TestRefusedExamples(t *testing.T) {
	t.Parallel()
	for folder, bySchema := range map[string]bool{"invalid": true, "refused": false} {
		files := exampleFiles(t, folder)
		const enough = 25
		if len(files) < enough {
			t.Fatalf("%s: only %d examples", folder, len(files))
		}
		for name, data := range files {
			t.Run(folder+"/"+name, func(t *testing.T) {
				t.Parallel()
				if got := schemaRefuses(t, name, data); got != bySchema {
					t.Errorf("the schema refuses it: %v, want %v", got, bySchema)
				}
				text, want := splitWant(string(data))
				_, err := Parse(name, data)
				var faults Faults
				if !errors.As(err, &faults) {
					t.Fatalf("got %v, want faults", err)
				}
				var got []string
				for _, f := range faults {
					if f.Line < 1 || f.Column < 1 || f.File != name {
						t.Errorf("no place: %+v", f)
					}
					got = append(got, strings.TrimPrefix(f.String(), name+":"))
				}
				if *update {
					rewrite(t, filepath.Join("../../schemas", examplesDir, folder, name), text, got)
					return
				}
				if strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

func schemaRefuses(t *testing.T, name string, data []byte) bool {
	t.Helper()
	s, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{file: name}
	if !c.read(data) {
		return true
	}
	s.check(c)
	return len(c.faults) > 0
}

func splitWant(data string) (text string, want []string) {
	for line := range strings.Lines(data) {
		if fault, ok := strings.CutPrefix(line, "# want "); ok {
			want = append(want, strings.TrimSuffix(fault, "\n"))
		} else {
			text += line
		}
	}
	return text, want
}

func rewrite(t *testing.T, file, text string, got []string) {
	t.Helper()
	for _, fault := range got {
		text += "# want " + fault + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The default configuration lies where an operator looks for it, word for word.
func TestDefaultIsTheDeployedExample(t *testing.T) {
	t.Parallel()
	deployed, err := os.ReadFile("../../deployments/bursar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(deployed) != string(DefaultYAML()) {
		t.Error("deployments/bursar.yaml and default.yaml differ: copy one over the other")
	}
}
