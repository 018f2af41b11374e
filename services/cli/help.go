package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// helpWidth is how wide a line of help may be.
const helpWidth = 80

// fitHelp breaks the descriptions of a command and those below it, and of their flags, to the width of a terminal.
// Paragraphs are separated by an empty line; what is indented by a tab stays as it is.
func fitHelp(cmd *cobra.Command) {
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), "FlagUsages |", "FlagUsagesWrapped 80 |"))
	fitLong(cmd)
}

// refuseUnknownShells has `bursar completion` refuse what is no shell, as other commands do.
func refuseUnknownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, completion := range root.Commands() {
		if completion.Name() == "completion" {
			completion.Args, completion.RunE = unknownCommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
}

// refuseUnknownTopics has `bursar help` say that there is no such command, as `bursar` does, and not show the help of another.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		show := help.Run
		help.Run, help.RunE = nil, func(cmd *cobra.Command, topic []string) error {
			found, rest, err := root.Find(topic)
			if err == nil && len(rest) > 0 {
				err = unknownCommand(found, rest)
			}
			if err == nil {
				show(cmd, topic)
			}
			return err
		}
	}
}

func fitLong(cmd *cobra.Command) {
	paragraphs := strings.Split(cmd.Long, "\n\n")
	for i, p := range paragraphs {
		if strings.HasPrefix(p, "\t") { // a command to type
			continue
		}
		paragraphs[i] = strings.Join(screen.Wrap(strings.ReplaceAll(p, "\n", " "), helpWidth), "\n")
	}
	cmd.Long = strings.Join(paragraphs, "\n\n")
	for _, child := range cmd.Commands() {
		fitLong(child)
	}
}
