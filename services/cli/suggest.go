package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/amend"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// suggestCommand shows the current advice, explains it, and writes what it would change.
type suggestCommand struct {
	*app
	apply  string
	file   string
	output string
	reason string
	undo   bool
}

func (a *app) suggest() *cobra.Command {
	c := &suggestCommand{app: a}
	cmd := &cobra.Command{
		Use:   "suggest",
		Short: "Show the current advice, with evidence and savings",
		Long: "Show what the last days say could be done better. Every suggestion was replayed through the rules that\n" +
			"grant and refuse, with and without its change: the saving is the difference.\n\n" +
			"--apply ID writes the changed configuration to a file, for you to review and hand in with `bursar apply`.",
		Example: "  bursar suggest\n  bursar suggest explain 7f3a\n  bursar suggest --apply 7f3a -f bursar.yaml\n  bursar suggest dismiss 7f3a --reason 'the contract ends in May'\n" +
			"  bursar suggest --json | jq '.suggestions[] | {title, saving_micro_usd}'",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.apply == "" && (c.file != "" || c.output != "") {
				return usagef("-f and -o go with --apply ID")
			}
			current, err := c.suggestions(cmd.Context())
			if err != nil {
				return err
			}
			if c.apply != "" {
				return c.write(cmd.Context(), &current)
			}
			return c.show(&current, func() { c.showSuggestions(&current) })
		},
	}
	cmd.Flags().StringVar(&c.apply, "apply", "", "write the configuration with the change of suggestion `ID`")
	cmd.Flags().StringVarP(&c.file, "file", "f", "", "the configuration `FILE` in use (default: what bursar up was given)")
	cmd.Flags().StringVarP(&c.output, "output", "o", "", "`FILE` to write (default: FILE.suggested.yaml)")
	cmd.AddCommand(c.explainCommand(), c.dismissCommand())
	return cmd
}

func (c *suggestCommand) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain ID", Short: "Show a suggestion's evidence and its back-test, day by day",
		Example: "  bursar suggest explain 7f3a\n  bursar suggest explain 7f3a --json | jq '.backtest.days'",
		Args:    exactly("the suggestion's id, or the beginning of it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			current, err := c.suggestions(cmd.Context())
			if err != nil {
				return err
			}
			s, err := pick(&current, args[0])
			if err != nil {
				return err
			}
			return c.show(s, func() { c.explainSuggestion(s) })
		},
	}
}

func (c *suggestCommand) dismissCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dismiss ID", Short: "Have a suggestion stay away",
		Example: "  bursar suggest dismiss 7f3a --reason 'the contract ends in May'\n  bursar suggest dismiss 7f3a --undo",
		Args:    exactly("the suggestion's id, or the beginning of it"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.dismiss(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&c.reason, "reason", "", "`TEXT` for others who wonder")
	cmd.Flags().BoolVar(&c.undo, "undo", false, "let a dismissed suggestion come back")
	return cmd
}

// pick finds a suggestion by the beginning of its id.
func pick(current *wire.SuggestionList, id string) (*wire.Suggestion, error) {
	var found []*wire.Suggestion
	for i := range current.Suggestions {
		if s := &current.Suggestions[i]; id != "" && strings.HasPrefix(s.SuggestionID, id) {
			found = append(found, s)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no suggestion %q now; `bursar suggest` lists those that there are", screen.Clean(id))
	case 1:
		return found[0], nil
	}
	return nil, usagef("%d suggestions begin with %q: give more of the id", len(found), screen.Clean(id))
}

// appliedDocument is the JSON of suggest --apply.
type appliedDocument struct {
	SuggestionID string   `json:"suggestion_id"`
	File         string   `json:"file"`    // that was written
	Removed      []string `json:"removed"` // lines
	Added        []string `json:"added"`
}

// write puts the configuration with a suggestion's change into a new file.
func (c *suggestCommand) write(ctx context.Context, current *wire.SuggestionList) error {
	s, err := pick(current, c.apply)
	if err != nil {
		return err
	}
	if s.Change == nil || !s.Change.Configurable {
		return fmt.Errorf("suggestion %s is up to the agents, not to the configuration: %s", s.SuggestionID, screen.Clean(s.Advice))
	}
	name, text, err := c.inUse(ctx)
	if err != nil {
		return err
	}
	amended, err := amend.Amend(name, text, s.Change)
	if err != nil {
		return err
	}
	output := c.output
	if output == "" {
		output = strings.TrimSuffix(name, ".yaml") + ".suggested.yaml"
	}
	if err := writeNew(output, amended); err != nil {
		return err
	}
	doc := appliedDocument{SuggestionID: s.SuggestionID, File: output}
	doc.Removed, doc.Added = lineChanges(string(text), string(amended))
	return c.show(&doc, func() {
		for _, l := range doc.Removed {
			c.screen.Printf("%s\n", c.screen.Paint(screen.Bad, "- "+screen.Clean(l)))
		}
		for _, l := range doc.Added {
			c.screen.Printf("%s\n", c.screen.Paint(screen.Good, "+ "+screen.Clean(l)))
		}
		c.screen.Printf("\nwritten to %s; nothing is applied yet. Review it, then:\n  bursar apply -f %s\n", screen.Clean(output), screen.Clean(output))
	})
}

// writeNew writes a file that is not there yet: nobody's work is overwritten.
func writeNew(name string, text []byte) (err error) {
	const mode = 0o644
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already: name another file with -o", name)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

// inUse gives the text of the configuration in force: the file that is named, else the one that the running `bursar up`
// was started with, else the built-in one. One that is not named has to be in force: another one may have been applied
// since, and a change to an old text would take back what came with it.
func (c *suggestCommand) inUse(ctx context.Context) (name string, text []byte, err error) {
	if name = c.file; name == "" {
		name = c.startedWith()
	}
	if name == "" {
		text = defaultConfig()
	} else if text, err = os.ReadFile(name); err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	same, err := c.inForce(ctx, name, text)
	switch {
	case err != nil:
		return "", nil, err
	case same && name == "":
		return "bursar.yaml", text, nil
	case same:
		return name, text, nil
	case c.file != "":
		c.log.Warn("what this file says is not what is in force: applying it would take back what was changed since", "file", c.file)
		return name, text, nil
	case name != "":
		return "", nil, usagef("another configuration than %s, with which this Bursar was started, is in force: name the file that was applied last with -f FILE", screen.Clean(name))
	}
	return "", nil, usagef("another configuration than the built-in one is in force: name its file with -f FILE")
}

// startedWith is the configuration that the running `bursar up` of this machine was given; empty where there is none.
func (c *suggestCommand) startedWith() string {
	if c.options.server != "" || c.options.context != "" {
		return ""
	}
	e, err := datadir.Dir(c.options.dataDir).ReadEndpoints()
	if err != nil {
		return "" // whoever connects next says what is wrong
	}
	return e.Config
}

// inForce tells whether a configuration is the one that holds.
func (c *suggestCommand) inForce(ctx context.Context, name string, text []byte) (same bool, err error) {
	document, err := config.Parse(name, text)
	if err != nil {
		return false, err
	}
	err = c.connected(ctx, func(ctx context.Context, b *remote) error {
		present, err := b.GetConfig(ctx)
		if err != nil {
			return err
		}
		same = sameConfig(present.Config, wire.ConfigOf(&document.Quota))
		return nil
	})
	return same, err
}

// sameConfig compares configurations as they are written on the wire, whatever their versions.
func sameConfig(a, b wire.Config) bool {
	plain := func(c wire.Config) (v map[string]any) {
		data, err := json.Marshal(c)
		if err != nil || json.Unmarshal(data, &v) != nil {
			return nil
		}
		delete(v, "version")
		return v
	}
	x, y := plain(a), plain(b)
	return x != nil && reflect.DeepEqual(x, y)
}

// lineChanges gives the lines that differ, without those that both texts begin and end with.
func lineChanges(before, after string) (removed, added []string) {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return list(a), list(b)
}

// dismiss changes the list of dismissals, however many do so at once.
func (c *suggestCommand) dismiss(ctx context.Context, id string) error {
	t, err := c.target()
	if err != nil {
		return err
	}
	return c.reading(ctx, func(ctx context.Context, workspace string, nc *nats.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		current, err := readSuggestions(ctx, workspace, nc)
		if err != nil {
			return err
		}
		one := wire.SuggestionDismissal{SuggestionID: id}
		if !c.undo {
			s, err := pick(&current, id)
			if err != nil {
				return err
			}
			one = wire.SuggestionDismissal{
				SuggestionID: s.SuggestionID, Rule: s.Rule, Subject: s.Subject, Title: s.Title, By: t.principal, Reason: c.reason, At: wireTime(time.Now()),
			}
		}
		done, err := changeDismissals(ctx, workspace, nc, one, c.undo)
		if err != nil {
			return err
		}
		return c.show(done, func() {
			if c.undo {
				c.screen.Printf("it may come back: %s\n", screen.Clean(done.Title))
				return
			}
			c.screen.Printf("dismissed: %s\n", screen.Clean(done.Title))
			c.screen.Printf("bursar suggest dismiss %s --undo lets it come back\n", done.SuggestionID)
		})
	})
}

// changeDismissals adds a dismissal, or takes the one away whose id begins as given, by compare-and-set. It returns the
// dismissal.
func changeDismissals(ctx context.Context, workspace string, nc *nats.Conn, one wire.SuggestionDismissal, undo bool) (*wire.SuggestionDismissal, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	bucket, err := js.KeyValue(ctx, wire.BucketSuggestions)
	if err != nil {
		return nil, fmt.Errorf("open the suggestions: %w", err)
	}
	key, err := wire.DismissalsKey(workspace)
	if err != nil {
		return nil, usage(err)
	}
	for {
		all, revision, err := readDismissals(ctx, bucket, key)
		if err != nil {
			return nil, err
		}
		if undo {
			if one, all.Dismissed, err = undone(all.Dismissed, one.SuggestionID); err != nil {
				return nil, err
			}
		} else {
			all.Dismissed = append(all.Dismissed, one)
			all.Dismissed = all.Dismissed[max(0, len(all.Dismissed)-wire.MaxDismissals):]
		}
		data, err := json.Marshal(all)
		if err != nil {
			return nil, fmt.Errorf("encode the dismissals: %w", err)
		}
		_, err = bucket.Update(ctx, key, data, revision)
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) && ctx.Err() == nil {
			continue // somebody else dismissed another one: look again
		}
		if err != nil {
			return nil, fmt.Errorf("dismiss the suggestion: %w", err)
		}
		return &one, nil
	}
}

// undone finds the dismissal whose id begins as given, and gives the list without it, and without those of others who
// dismissed the same.
func undone(all []wire.SuggestionDismissal, id string) (one wire.SuggestionDismissal, left []wire.SuggestionDismissal, err error) {
	same := func(d wire.SuggestionDismissal) bool { return d.Rule == one.Rule && d.Subject == one.Subject }
	for _, d := range all {
		switch {
		case id == "" || !strings.HasPrefix(d.SuggestionID, id):
		case one.SuggestionID != "" && !same(d):
			return one, nil, usagef("several dismissed suggestions begin with %q: give more of the id", screen.Clean(id))
		default:
			one = d
		}
	}
	if one.SuggestionID == "" {
		return one, nil, fmt.Errorf("no suggestion %q was dismissed", screen.Clean(id))
	}
	return one, slices.DeleteFunc(slices.Clone(all), same), nil
}

func readDismissals(ctx context.Context, bucket jetstream.KeyValue, key string) (all wire.SuggestionDismissals, revision uint64, err error) {
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return all, 0, nil
	}
	if err != nil {
		return all, 0, fmt.Errorf("read the dismissals: %w", err)
	}
	if err := json.Unmarshal(entry.Value(), &all); err != nil {
		return all, 0, fmt.Errorf("read the dismissals: %w", err)
	}
	return all, entry.Revision(), nil
}
