package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	a := &app{process: Process{Getenv: func(string) string { return "" }}}
	var visit func(path []string, cmd *cobra.Command)
	visit = func(path []string, cmd *cobra.Command) {
		help := bursar(t, nil, append(path, "--help")...).stdout
		if !strings.Contains(help, "Usage:") {
			t.Errorf("bursar %s --help writes %q", strings.Join(path, " "), help)
		}
		for _, line := range strings.Split(help, "\n") {
			if n := utf8.RuneCountInString(line); n > helpWidth {
				t.Errorf("bursar %s --help: %d columns: %s", strings.Join(path, " "), n, line)
			}
		}
		for _, child := range cmd.Commands() {
			visit(append(path[:len(path):len(path)], child.Name()), child)
		}
	}
	visit(nil, a.root())
}
