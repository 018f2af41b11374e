package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/importer"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// importCommand brings usage that other programs have logged into the books.
type importCommand struct {
	*app
	source  importer.Source
	account string
	memory  string
	follow  bool
}

func (a *app) importUsage() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Bring the usage that coding agents have logged into the books",
		Long: "Read the session logs of coding agents on this machine and record every call as usage of an account,\n" +
			"at the price of its day. Usage of an earlier window is charged there: last month exhausts nothing today.\n" +
			"A call counts once, however often it is logged and imported, and whoever else reports it.",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example: "  bursar import claude-code --account claude-max\n  bursar import codex --account openai-api --follow",
	}
	for _, source := range importer.Sources() {
		cmd.AddCommand(a.importFrom(source))
	}
	return cmd
}

func (a *app) importFrom(source importer.Source) *cobra.Command {
	c := &importCommand{app: a, source: source}
	cmd := &cobra.Command{
		Use:   source.Name + " [FILE|FOLDER…]",
		Short: "Import the sessions of " + source.Name,
		Example: "  bursar import " + source.Name + " --account ID\n  bursar import " + source.Name + " --account ID --follow\n" +
			"  bursar import " + source.Name + " --account ID ~/backup/sessions",
		Long: "Import the sessions of " + source.Name + " from where it keeps them, or from files and folders.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, places []string) error { return c.run(cmd.Context(), places) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.account, "account", "", "`ID` of the account that paid for it")
	flags.BoolVar(&c.follow, "follow", false, "go on as the sessions grow, until interrupted")
	flags.StringVar(&c.memory, "memory", "", "`FILE` that remembers what was imported; default in the user's cache folder")
	return cmd
}

func (c *importCommand) run(ctx context.Context, places []string) error {
	if len(places) == 0 {
		var err error
		if places, err = c.source.Folders(c.process.Getenv); err != nil {
			return err
		}
	}
	return c.asAgent(ctx, func(ctx context.Context, b *remote) error { return c.bring(ctx, b, places) })
}

func (c *importCommand) bring(ctx context.Context, b *remote, places []string) (err error) {
	agent := b.Agent(c.source.Name)
	status, err := agent.Status(ctx, wire.StatusRequest{})
	if err != nil {
		return err
	}
	if err := c.chooseAccount(status); err != nil {
		return err
	}
	if err := mayCharge(ctx, agent, c.account); err != nil {
		return err
	}
	memory, err := c.openMemory(status.LedgerID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, memory.Close()) }()
	tick, finish := c.progress()
	i := &importer.Importer{Source: c.source, Places: places, Account: c.account, Memory: memory, Reporter: agent, Log: c.log, Progress: tick}
	sum, err := i.Run(ctx)
	finish()
	if err != nil {
		if !c.options.json && sum.Calls > 0 { // a script gets one document: the failure
			c.showImport(&sum)
		}
		return err
	}
	if err := c.show(&sum, func() { c.showImport(&sum) }); err != nil {
		return err
	}
	if !c.follow {
		return nil
	}
	i.Progress = nil
	return i.Follow(ctx, func(sum importer.Summary) {
		if err := c.show(&sum, func() { c.showNews(&sum) }); err != nil {
			c.log.Error("show the import", "error", err)
		}
	})
}

// chooseAccount takes the account that was named, else the only one there is.
func (c *importCommand) chooseAccount(status *wire.StatusReply) error {
	if c.account != "" {
		return nil
	}
	var accounts []string
	for _, limit := range status.Limits {
		if limit.Account != "" && !slices.Contains(accounts, limit.Account) {
			accounts = append(accounts, limit.Account)
		}
	}
	if len(accounts) == 1 {
		c.account = accounts[0]
		return nil
	}
	return usagef("say which account paid for it with --account, for instance one of %s", strings.Join(accounts, ", "))
}

// mayCharge asks whether usage can be recorded for an account, before anything is read for it.
func mayCharge(ctx context.Context, agent *client.Agent, account string) error {
	_, err := agent.Report(ctx, wire.ReportRequest{Account: account})
	return err
}

// openMemory opens what is remembered of imports into one ledger: a new ledger has seen nothing.
func (c *importCommand) openMemory(ledger string) (*importer.Memory, error) {
	path := c.memory
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		path = filepath.Join(cache, "bursar", "imports", ledger+".db")
	}
	return importer.OpenMemory(path)
}

// progress shows how many logs were read, on a terminal.
func (c *importCommand) progress() (tick func(done, files int), finish func()) {
	if !screen.Terminal(c.process.Stderr) {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	tick = func(done, files int) {
		if bar == nil {
			bar = progressbar.NewOptions(files, progressbar.OptionSetWriter(c.process.Stderr), progressbar.OptionSetDescription("logs"),
				progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set(done) // a bar that cannot be drawn is no reason to stop
	}
	return tick, func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}
}

func (c *importCommand) showImport(s *importer.Summary) {
	if s.Files > 0 && s.Read == 0 {
		c.screen.Printf("Nothing new: %s, imported before\n", counted(int64(s.Files), "log"))
		return
	}
	c.screen.Printf("%s with %s tokens, from %s of %s\n", counted(int64(s.Calls), "call"), screen.Count(s.Tokens), screen.Count(int64(s.Read)),
		counted(int64(s.Files), "log"))
	c.screen.Printf("account %s\n", c.account)
	if s.Repeated > 0 {
		c.screen.Printf("%s told a call again; each call counts once\n", counted(int64(s.Repeated), "line"))
	}
	if s.Malformed > 0 {
		c.screen.Note(screen.Caution, counted(int64(s.Malformed), "line")+" could not be read, skipped")
	}
	if s.Read > 0 && s.Calls+s.Repeated+s.Malformed+s.Synthetic == 0 {
		c.screen.Note(screen.Caution, "No call is in "+plural(int64(s.Read), "it", "them")+": is it what "+c.source.Name+" writes?")
	}
	if s.Calls > 0 && !c.follow {
		c.screen.Printf("\nNext: bursar history %s\n", spanSince(s.FirstAt.Time(), time.Now()))
	}
}

// spanSince is a timeframe up to now in which a time lies, a month at least.
func spanSince(at, now time.Time) string {
	const day, month = 24 * time.Hour, 30
	days := int(now.Sub(at)/day) + 1
	if days <= month {
		return fmt.Sprintf("%dd", month)
	}
	return fmt.Sprintf("%dw", (days+6)/7)
}

func (c *importCommand) showNews(s *importer.Summary) {
	c.screen.Printf("%s, %s tokens\n", counted(int64(s.Calls), "call"), screen.Count(s.Tokens))
}
