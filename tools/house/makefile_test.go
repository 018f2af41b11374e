package house

import (
	"regexp"
	"strings"
	"testing"
)

// maxHelp keeps a line of `make help` within 80 columns.
const maxHelp = 80 - len("  target-name  ")

// TestEveryTargetSaysWhatItDoes wants one line of help and a .PHONY line for each target that people
// call. Targets that are files (.tools/…) have none.
func TestEveryTargetSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	target := regexp.MustCompile(`^([a-zA-Z][\w-]*):([^=].*|)$`)
	text := read(t, "Makefile")
	help := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		match := target.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		name := match[1]
		_, says, found := strings.Cut(line, " ## ")
		if !found || says == "" || len(says) > maxHelp {
			t.Errorf("Makefile: target %s needs one line of help, `## …`, of at most %d characters", name, maxHelp)
		}
		if !strings.Contains(text, ".PHONY: "+name+"\n"+name+":") {
			t.Errorf("Makefile: target %s needs .PHONY on the line before", name)
		}
		help[name] = says
	}
	for _, name := range []string{"help", "build", "test", "lint", "fmt", "clean"} {
		if help[name] == "" {
			t.Errorf("Makefile lacks the target %s", name)
		}
	}
}
