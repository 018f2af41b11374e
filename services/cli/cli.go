// Package cli is the `bursar` command: it runs a whole Bursar in one process, asks a running one, replays traces
// against it and checks its books.
//
// Guarantees, which scripts may rely on:
//
//   - with --json a command writes JSON and nothing else to standard output, of one documented shape (docs/cli.md),
//     and errors as {"error": …}; log lines and progress go to standard error;
//   - the exit status is [ExitOK], [ExitFailure], [ExitUsage] or [ExitTryLater];
//   - colour and progress bars appear on a terminal only;
//   - secrets are read from files and never from arguments.
//
// Commands that follow something (watch, up) end well on SIGINT and SIGTERM; a second signal ends the process at once.
package cli

import (
	"context"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/telemetry"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// Exit statuses.
const (
	ExitOK       = 0
	ExitFailure  = 1
	ExitUsage    = 2
	ExitTryLater = 75 // refused for lack of quota, and the same request may succeed later (EX_TEMPFAIL)
)

// Process is what the command line gets from the operating system; a test gives its own.
type Process struct {
	Args    []string // without the program's name
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(string) string
	Version string // of this build
}

// Run executes one command line and gives the exit status. It returns when the command is done, or ctx ends.
func Run(ctx context.Context, p Process) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal has its usual effect
	a := &app{process: p, screen: screen.New(p.Stdout, p.Getenv), log: slog.New(slog.DiscardHandler)}
	root := a.root()
	root.SetArgs(p.Args)
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	return a.exit(root.ExecuteContext(ctx))
}

// app is what all commands share.
type app struct {
	process Process
	options options
	screen  *screen.Screen
	log     *slog.Logger
}

// root builds the tree of commands, in the order in which help lists them.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "bursar",
		Short: "Hand out LLM quota to a fleet of agents and keep the books",
		Long: "Bursar decides, for many AI agents at once, who may spend which LLM quota and when, records what was\n" +
			"really spent, and turns the record into advice.\n\n" +
			"`bursar up` starts everything in one process; the other commands then find it by themselves.",
		Example: "  bursar up                     # start a Bursar\n" +
			"  bursar replay --demo          # let a fleet work for a day, in seconds\n" +
			"  bursar status                 # what is left, and who holds it\n" +
			"  bursar history                # what was spent\n" +
			"  bursar verify                 # check the books",
		SuggestionsMinimumDistance: 2, // letters
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       unknownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := a.options.complete(a.process.Getenv); err != nil {
				return err
			}
			log, err := telemetry.LoggerFromEnv(a.process.Stderr, a.logLevel(), a.process.Getenv)
			if err != nil {
				return usage(err)
			}
			a.log = log
			return nil
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(faultyFlag(err)) })
	a.options.register(root.PersistentFlags())
	for _, group := range a.groups() {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, cmd := range group.commands {
			cmd.GroupID = group.id
			root.AddCommand(cmd)
		}
	}
	refuseUnknownTopics(root)
	refuseUnknownShells(root)
	fitHelp(root)
	return root
}

// group is a section of the help.
type group struct {
	id, title string
	commands  []*cobra.Command
}

func (a *app) groups() []group {
	return []group{
		{"run", "Run:", []*cobra.Command{a.up()}},
		{"see", "See:", []*cobra.Command{a.status(), a.history(), a.forecast(), a.watch(), a.explain(), a.suggest(), a.list(), a.queue(), a.accounts(), a.page()}},
		{"agent", "Speak for an agent:", []*cobra.Command{a.estimate(), a.reserve(), a.reportUsage(), a.extend(), a.settle(), a.release(), a.observe(), a.statusLine()}},
		{"operate", "Operate:", []*cobra.Command{a.apply(), a.revoke(), a.hold(), a.resume(), a.verify(), a.importUsage(), a.otlp(), a.notify()}},
		{"try", "Try:", []*cobra.Command{a.replay(), a.simulate(), a.bench(), a.version()}},
	}
}

// logLevel is the level that was asked for; a person at a terminal who asked for none sees what goes wrong only, and
// not between the lines of the output what goes well.
func (a *app) logLevel() string {
	if a.options.logLevel == "" && a.process.Getenv(telemetry.LogLevelVar) == "" && screen.Terminal(a.process.Stderr) {
		return slog.LevelWarn.String()
	}
	return a.options.logLevel
}
