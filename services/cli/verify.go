package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/ledger"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/services/allocator"
	"github.com/bursarhq/bursar/services/analytics"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/cli/internal/ledgerlog"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// envClickHouse names the environment variable with the address of ClickHouse, which holds a password and is
// therefore not a flag.
const envClickHouse = "BURSAR_CLICKHOUSE_URL"

// verifyCommand checks the books.
type verifyCommand struct {
	*app
	wait time.Duration
}

// verifyDocument is the JSON of verify.
type verifyDocument struct {
	OK           bool             `json:"ok"`
	Commits      int              `json:"commits"`
	Trimmed      uint64           `json:"trimmed_commits,omitzero"` // that are gone from the log: the fold goes on from a keyframe
	Reservations int64            `json:"reservations"`
	Violations   []string         `json:"violations"`
	ClickHouse   verifyClickHouse `json:"clickhouse"`
}

type verifyClickHouse struct {
	Events     uint64 `json:"events"`
	Missing    uint64 `json:"missing"`
	Duplicates uint64 `json:"duplicates"`
	SumsEqual  bool   `json:"sums_equal"`
	Expired    uint64 `json:"expired_commits,omitzero"` // of the log, older than ClickHouse keeps events: not compared
}

func (a *app) verify() *cobra.Command {
	c := &verifyCommand{app: a}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the books: the whole ledger, and ClickHouse against it",
		Long: "Read the ledger's whole log, check that no commit was altered, left out or put in, fold it and check every\n" +
			"invariant; then compare ClickHouse with it row by row, and its totals, as SQL computes them, with those of the\n" +
			"fold. It changes nothing and may run at any time; what is committed after it began is left out.\n\n" +
			"The exit status is 1 unless everything is in order.",
		Example: "  bursar verify\n  bursar verify --json | jq .ok",
		Args:    exactly(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().DurationVar(&c.wait, "wait", 30*time.Second, "how long ClickHouse may take to catch up before rows count as missing")
	return cmd
}

func (c *verifyCommand) run(ctx context.Context) error {
	if c.wait < 0 {
		return usagef("--wait must not be negative")
	}
	dsn, err := c.clickhouse()
	if err != nil {
		return err
	}
	return c.reading(ctx, func(ctx context.Context, workspace string, nc *nats.Conn) error {
		doc, err := c.check(ctx, workspace, nc, dsn)
		if err != nil {
			return err
		}
		if err := c.show(doc, func() { c.showVerdict(doc) }); err != nil {
			return err
		}
		if !doc.OK {
			return errReported
		}
		return nil
	})
}

// clickhouse finds the address of ClickHouse with a user that reads the events.
func (c *verifyCommand) clickhouse() (string, error) {
	if named := c.process.Getenv(envClickHouse); named != "" {
		return named, nil
	}
	dir := datadir.Dir(c.options.dataDir)
	e, err := dir.ReadEndpoints()
	if err != nil || !dir.InUse() {
		return "", fmt.Errorf("no Bursar is running in %s, so that its ClickHouse is not known; start one with `bursar up`, or set %s to http://user:password@host:port", dir, envClickHouse)
	}
	if e.Writer.PasswordFile == "" {
		return "", fmt.Errorf("the running Bursar uses a ClickHouse of your own: set %s to http://user:password@host:port", envClickHouse)
	}
	password, err := os.ReadFile(e.Writer.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read the password of ClickHouse: %w", err)
	}
	u, err := url.Parse(e.ClickHouse)
	if err != nil {
		return "", fmt.Errorf("the address of ClickHouse in %s: %w", dir, err)
	}
	u.User = url.UserPassword(e.Writer.User, strings.TrimSpace(string(password)))
	return u.String(), nil
}

func (c *verifyCommand) check(ctx context.Context, workspace string, nc *nats.Conn, dsn string) (doc *verifyDocument, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	comparer, err := analytics.OpenComparer(dsn, workspace)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, comparer.Close()) }()
	log, err := ledgerlog.Open(ctx, js, workspace)
	if err != nil {
		return nil, err
	}
	if err := c.await(ctx, log, comparer); err != nil {
		return nil, err
	}
	from, err := allocator.KeptFrom(ctx, js, workspace)
	if err != nil {
		return nil, fmt.Errorf("find where the log begins: %w", err)
	}
	audit := newAudit(from, comparer)
	if err := log.Each(ctx, func(e ledger.Entry) error { return audit.add(ctx, e) }); err != nil {
		return nil, err
	}
	return audit.finish(ctx)
}

// await waits until ClickHouse has the newest commit, since analytics follows the ledger. One that does not come in
// time is found missing later; a ClickHouse that does not answer fails there, too.
func (c *verifyCommand) await(ctx context.Context, log *ledgerlog.Log, comparer *analytics.Comparer) error {
	newest, ok := log.Newest()
	if !ok {
		return nil
	}
	commit, err := ledger.Decode(newest.Data)
	if err != nil {
		return nil //nolint:nilerr // it is among the violations that the audit finds
	}
	waiting, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	if err := comparer.Await(waiting, commit.Ledger, commit.Number); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// audit checks a log and compares ClickHouse with it, commit by commit.
type audit struct {
	verifier *ledger.Verifier
	comparer *analytics.Comparer
	begin    uint64       // revision that the fold goes on from; 0 for an empty ledger
	trimmed  uint64       // commits before that
	before   quota.Totals // there
	last     uint64       // number of the last commit that was compared
	broken   bool         // a commit cannot be read or is not the next one: what follows has nothing to be compared with
	totals   quota.Totals // that the last of the commits compared carries
}

// newAudit begins at an empty ledger, or at the keyframe that a trimmed log goes on from.
func newAudit(from *ledger.Ledger, comparer *analytics.Comparer) *audit {
	before := from.State().Totals()
	at := from.Position()
	return &audit{verifier: ledger.NewVerifier(from), comparer: comparer, begin: at.Revision, trimmed: at.Number, before: before, totals: before}
}

// add takes the next revision of the log.
func (a *audit) add(ctx context.Context, e ledger.Entry) error {
	if e.Revision <= a.begin {
		return nil // the commit of the keyframe, which stays when a log is trimmed
	}
	a.verifier.Add(e)
	if a.broken {
		return nil
	}
	commit, err := ledger.Decode(e.Data)
	if err != nil || a.last > 0 && commit.Number != a.last+1 {
		a.broken = true // and a violation, which the verifier has found as well
		return nil
	}
	a.last, a.totals = commit.Number, commit.Totals
	if err := a.comparer.Add(ctx, commit); err != nil {
		return fmt.Errorf("compare ClickHouse: %w", err)
	}
	return nil
}

// finish gives the verdict.
func (a *audit) finish(ctx context.Context) (*verifyDocument, error) {
	report := a.verifier.Finish()
	found, err := a.comparer.Finish(ctx, a.before, a.totals)
	if err != nil {
		return nil, fmt.Errorf("compare ClickHouse: %w", err)
	}
	doc := &verifyDocument{
		OK:      report.OK() && found.OK() && !a.broken,
		Commits: report.Commits, Trimmed: a.trimmed, Reservations: report.FoldedTotals().Granted - a.before.Granted, Violations: list(report.Violations),
		ClickHouse: verifyClickHouse{found.Events, found.Missing, found.Duplicates, found.SumsEqual, found.Expired},
	}
	if more := report.Found - len(report.Violations); more > 0 {
		doc.Violations = append(doc.Violations, fmt.Sprintf("and %d more in the log", more))
	}
	for _, difference := range found.Differences {
		doc.Violations = append(doc.Violations, "clickhouse: "+difference)
	}
	return doc, nil
}

// violationsShown bounds the violations of the output for people.
const violationsShown = 20

func (c *verifyCommand) showVerdict(doc *verifyDocument) {
	s := c.screen
	if doc.OK {
		s.Printf("%s %s hold every promise.\n", s.Paint(screen.Good, "OK:"), counted(int64(doc.Commits), "commit"))
	} else {
		s.Printf("%s %s.\n", s.Paint(screen.Bad, "NOT OK:"), counted(int64(len(doc.Violations)), "violation"))
	}
	c.line("ledger", fmt.Sprintf("%s, %s granted", counted(int64(doc.Commits), "commit"), counted(doc.Reservations, "reservation")))
	if doc.Trimmed > 0 {
		c.line("", counted(clamp(doc.Trimmed), "older commit")+" trimmed: nothing of them can be checked")
	}
	sums := "the sums are equal"
	if !doc.ClickHouse.SumsEqual {
		sums = "the sums DIFFER"
	}
	c.line("clickhouse", fmt.Sprintf("%s, %s missing, %s twice; %s", counted(clamp(doc.ClickHouse.Events), "event"),
		screen.Count(clamp(doc.ClickHouse.Missing)), screen.Count(clamp(doc.ClickHouse.Duplicates)), sums))
	if expired := doc.ClickHouse.Expired; expired > 0 {
		c.line("", counted(clamp(expired), "commit")+" not compared: older than ClickHouse keeps events")
	}
	for _, violation := range doc.Violations[:min(len(doc.Violations), violationsShown)] {
		s.Note(screen.Bad, violation)
	}
	if more := len(doc.Violations) - violationsShown; more > 0 {
		s.Printf("and %d more (--json shows them)\n", more)
	}
}

// clamp makes a count one that can be written.
func clamp(n uint64) int64 { return int64(min(n, 1<<62)) }
