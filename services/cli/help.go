package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// helpWidth is how wide a line of help may be.
const helpWidth = 80

// fitHelp breaks the descriptions of a command and those below it, and of their flags, to the width of a terminal.
// Paragraphs are separated by an empty line.
func fitHelp(cmd *cobra.Command) {
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), "FlagUsages |", "FlagUsagesWrapped 80 |"))
	fitLong(cmd)
}

func fitLong(cmd *cobra.Command) {
	paragraphs := strings.Split(cmd.Long, "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(screen.Wrap(strings.ReplaceAll(p, "\n", " "), helpWidth), "\n")
	}
	cmd.Long = strings.Join(paragraphs, "\n\n")
	for _, child := range cmd.Commands() {
		fitLong(child)
	}
}
