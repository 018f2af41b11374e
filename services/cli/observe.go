package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/observe"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/screen"
)

// observeCommand hands in what a provider said.
type observeCommand struct {
	*app
	agent      agentFlag
	account    string
	headers    string
	statusLine string
	codex      string
	body       string
	status     int
	model      string
	provider   string
	window     string
	used       int64
	percent    float64
	reset      string
}

func (a *app) observe() *cobra.Command {
	c := &observeCommand{app: a}
	cmd := &cobra.Command{
		Use:   "observe",
		Short: "Hand in what a provider said of an account",
		Long: "Hand in what a provider said of an account: response headers as `curl -D FILE`\n" +
			"writes them, the status line JSON of Claude Code, a rate_limits object of\n" +
			"Codex's session log, or one window by hand. What is not understood is told,\n" +
			"and what stands beside it counts all the same.",
		Example: "  bursar observe --account claude-max --headers headers.txt\n" +
			"  bursar observe --account max --headers h.txt --status 429 --body b.json\n" +
			"  bursar observe --account claude-max --status-line - <status.json\n" +
			"  bursar observe --account max --window session --percent 42 --reset 2h15m",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd) },
	}
	flags := cmd.Flags()
	c.agent.register(flags, a)
	flags.StringVar(&c.account, "account", "", "`ID` of the account (required)")
	flags.StringVar(&c.headers, "headers", "", "`FILE` of response headers, one \"name: value\" a line; - is standard input")
	flags.StringVar(&c.statusLine, "status-line", "", "`FILE` of Claude Code's status line JSON; - is standard input")
	flags.StringVar(&c.codex, "codex", "", "`FILE` of a rate_limits object of Codex; - is standard input")
	flags.StringVar(&c.body, "body", "", "`FILE` of the body of a refusal; - is standard input")
	flags.IntVar(&c.status, "status", 0, "`STATUS` of the response, such as 429; default: what the headers say")
	flags.StringVar(&c.model, "model", "", "`MODEL` that was asked for, where limits are per model group")
	flags.StringVar(&c.provider, "provider", "", "`NAME` whose headers count: anthropic, openai or codex; default: all")
	flags.StringVar(&c.window, "window", "", "`NAME` of the one window that is told by hand")
	flags.Int64Var(&c.used, "used", 0, "of --window: `N` units used")
	flags.Float64Var(&c.percent, "percent", 0, "of --window: `P` percent used")
	flags.StringVar(&c.reset, "reset", "", "of --window: `WHEN` it resets, as 2h15m or 2026-06-01T15:00:00Z")
	return cmd
}

func (c *observeCommand) run(cmd *cobra.Command) error {
	if c.account == "" {
		return usagef("give --account (see `bursar accounts`)")
	}
	now := time.Now()
	request, err := c.request(cmd, now)
	if err != nil {
		return err
	}
	return c.asAgent(cmd.Context(), func(ctx context.Context, b *remote) error {
		reply, err := b.Agent(c.agent.name).Observe(ctx, request)
		if err != nil {
			return fmt.Errorf("hand in the observation: %w", err)
		}
		told := observed(&request, reply)
		if err := c.show(told, func() { c.showObserved(told, now) }); err != nil {
			return err
		}
		var refused []error
		for i := range reply.Windows {
			if w := &reply.Windows[i]; w.Code != "" {
				refused = append(refused, fmt.Errorf("window %q: %w", w.Window, wire.NewError(quota.Code(w.Code), "%s", w.Message)))
			}
		}
		return errors.Join(refused...)
	})
}

// request makes what is to be handed in out of the flags.
func (c *observeCommand) request(cmd *cobra.Command, now time.Time) (wire.ObserveRequest, error) {
	ways := 0
	for _, given := range []bool{c.headers != "" || c.body != "" || c.status != 0, c.statusLine != "", c.codex != "", c.window != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return wire.ObserveRequest{}, usagef("say what the provider said in one way: --headers (with --status and --body), --status-line, --codex or --window")
	}
	if c.window != "" {
		return c.byHand(cmd, now)
	}
	raw, err := c.raw()
	return wire.ObserveRequest{Account: c.account, Model: c.model, Raw: raw, ObservedAt: wireTime(now)}, err
}

// raw reads the files; what is in them is understood by the allocator.
func (c *observeCommand) raw() (*wire.RawObservation, error) {
	raw := &wire.RawObservation{Provider: c.provider}
	for name, into := range map[string]*json.RawMessage{c.statusLine: &raw.StatusLine, c.codex: &raw.CodexLimits} {
		if name == "" {
			continue
		}
		document, err := c.read(name)
		if err != nil {
			return nil, err
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(document, &object); err != nil || object == nil {
			return nil, usagef("%s is not a JSON object", name)
		}
		*into = bytes.TrimSpace(document)
		return raw, nil
	}
	headers, err := c.read(c.headers)
	if err != nil {
		return nil, err
	}
	body, err := c.read(c.body)
	if err != nil {
		return nil, err
	}
	status, h := parseHeaders(headers)
	if c.status != 0 {
		status = c.status
	}
	raw.Headers = observe.Relevant(h)
	if raw.Status = int64(status); status != 0 {
		raw.Body = strings.ToValidUTF8(string(body), "?")
		raw.Body = wire.Clip(raw.Body, wire.MaxRawBytes)
	} else if len(body) > 0 {
		return nil, usagef("give the --status of the refusal that %s is the body of, such as 429", c.body)
	}
	return raw, nil
}

// observed is the command's document of a reply.
func observed(request *wire.ObserveRequest, reply *wire.ObserveReply) *observeView {
	told := &observeView{Account: request.Account, Windows: []observedWindow{}, Problems: []observeProblem{}}
	if request.Raw == nil {
		told.Windows = append(told.Windows, observedWindow{*request, *reply})
		return told
	}
	for i := range reply.Windows {
		w := &reply.Windows[i]
		said := wire.ObserveRequest{
			Identified: request.Identified, Account: request.Account, Window: w.Window, Used: w.Said.Used, UsedPercent: w.Said.UsedPercent,
			ResetsAt: w.Said.ResetsAt, Tier: w.Said.Tier, Source: w.Said.Source, ObservedAt: w.Said.ObservedAt, Signal: w.Said.Signal,
			RetryAfterMS: w.Said.RetryAfterMS, WindowMS: w.Said.WindowMS, Model: request.Model,
		}
		if w.Said.Capacity > 0 {
			said.Capacity = &w.Said.Capacity
		}
		told.Windows = append(told.Windows, observedWindow{said, wire.ObserveReply{
			Account: request.Account, LimitID: w.LimitID, Recorded: w.Code == "", Effective: w.Effective, Capacity: w.Capacity,
			Message: w.Message, Unknown: w.Unknown, ClosedUntil: w.ClosedUntil,
		}})
	}
	for _, p := range reply.Problems {
		told.Problems = append(told.Problems, observeProblem(p))
	}
	told.Terminal, told.Reason = reply.Terminal, reply.Reason
	return told
}

// read reads a file of at most observe.MaxBody, or standard input; no name is an empty file.
func (c *observeCommand) read(name string) ([]byte, error) {
	in := c.process.Stdin
	switch name {
	case "":
		return nil, nil
	case "-":
	default:
		f, err := os.Open(name)
		if err != nil {
			return nil, usage(err)
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, observe.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > observe.MaxBody {
		return nil, usagef("%s is larger than %d KiB; give the headers or the JSON alone", name, observe.MaxBody>>10)
	}
	return data, nil
}

// parseHeaders reads "name: value" lines and the status of an "HTTP/2 429" line; after a redirect the last answer counts.
func parseHeaders(data []byte) (status int, h http.Header) {
	h = http.Header{}
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "HTTP/") {
			h = http.Header{}
			if fields := strings.Fields(text); len(fields) > 1 {
				status, _ = strconv.Atoi(fields[1]) // 0: a status that is none says nothing
			}
			continue
		}
		if name, value, ok := strings.Cut(text, ":"); ok {
			h.Add(textproto.TrimString(name), strings.TrimSpace(value))
		}
	}
	return status, h
}

// byHand makes the observation of one window out of flags.
func (c *observeCommand) byHand(cmd *cobra.Command, now time.Time) (wire.ObserveRequest, error) {
	r := wire.ObserveRequest{Account: c.account, Window: c.window, Model: c.model, Source: "command line", ObservedAt: wireTime(now)}
	flags := cmd.Flags()
	if flags.Changed("used") {
		r.Used = &c.used
	}
	if flags.Changed("percent") {
		if !(c.percent >= 0 && c.percent <= 1000) {
			return r, usagef("--percent must be from 0 to 1000")
		}
		p := wire.Percent(c.percent*1000 + 0.5)
		r.UsedPercent = &p
	}
	if c.reset != "" {
		at, err := resetTime(c.reset, now)
		if err != nil {
			return r, err
		}
		r.ResetsAt = wireTime(at)
	}
	if r.Used == nil && r.UsedPercent == nil && r.ResetsAt == 0 {
		return r, usagef("tell at least one of --used, --percent and --reset of window %s", c.window)
	}
	return r, nil
}

func resetTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usagef("--reset must be a time to come such as 2h15m, or a time such as 2026-06-01T15:00:00Z, not %q", text)
	}
	return at, nil
}

// observeView is the command's document.
type observeView struct {
	Account  string           `json:"account"`
	Windows  []observedWindow `json:"windows"`
	Problems []observeProblem `json:"problems"`
	Terminal bool             `json:"terminal,omitempty"` // a refusal that no wait cures
	Reason   string           `json:"reason,omitempty"`   // in the provider's words
}

type observedWindow struct {
	Said  wire.ObserveRequest `json:"said"`
	Reply wire.ObserveReply   `json:"reply"`
}

type observeProblem struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Want  string `json:"want"`
}

// showObserved tells a person what was understood, what it changed, and what was not understood.
func (c *observeCommand) showObserved(told *observeView, now time.Time) {
	s := c.screen
	switch {
	case told.Terminal:
		s.Note(screen.Caution, screen.Clean(fmt.Sprintf("Refused by the provider (%s), and no wait cures it: that is no window that closes.", cmp.Or(told.Reason, "no reason told"))))
	case len(told.Windows) == 0:
		s.Note(screen.Caution, "Nothing that tells of a window was understood.")
	}
	if len(told.Windows) > 0 {
		t := &screen.Table{Columns: []screen.Column{
			{Title: "window"}, {Title: "used", Right: true}, {Title: "resets"}, {Title: "effect"},
		}}
		for i := range told.Windows {
			w := &told.Windows[i]
			t.Add(screen.Text(screen.Clean(windowOr(w.Said.Window))), screen.Text(usedText(&w.Said)), screen.Text(observedReset(w.Said.ResetsAt, now)), effect(w, now))
		}
		s.Table(t)
	}
	for i := range told.Windows {
		if w := &told.Windows[i]; w.Reply.Message != "" && !w.Reply.Effective && !w.Reply.Unknown {
			s.Note(screen.Caution, screen.Clean(windowOr(w.Said.Window)+": "+w.Reply.Message))
		}
	}
	for _, p := range told.Problems {
		value := p.Value
		if text, err := strconv.Unquote(value); err == nil { // a text of a JSON document has quotes already
			value = text
		}
		s.Note(screen.Caution, screen.Clean(fmt.Sprintf("Not understood: %s %q; wanted is %s.", p.Field, value, p.Want)))
	}
}

func windowOr(name string) string {
	if name == "" {
		return "(account)"
	}
	return name
}

func usedText(r *wire.ObserveRequest) string {
	switch {
	case r.UsedPercent != nil:
		return r.UsedPercent.String() + " %"
	case r.Used != nil:
		return screen.Count(*r.Used)
	}
	return "–"
}

func observedReset(at wire.Time, now time.Time) string {
	if at == 0 {
		return "–"
	}
	if at.Time().Before(now) {
		return screen.When(at.Time(), now)
	}
	return screen.Until(at.Time(), now)
}

func effect(w *observedWindow, now time.Time) screen.Cell {
	switch r := &w.Reply; {
	case r.ClosedUntil != 0:
		return screen.Toned(screen.Bad, "closed, opens "+screen.When(r.ClosedUntil.Time().Local(), now))
	case !r.Recorded:
		return screen.Toned(screen.Bad, "not taken")
	case r.Unknown:
		return screen.Toned(screen.Caution, "kept; no limit of this name")
	case r.Effective:
		return screen.Text("counts")
	}
	return screen.Toned(screen.Caution, "kept, without effect")
}
