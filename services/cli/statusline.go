package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/statusline"
)

// A status line may take 50 ms, of which the start of this program takes a third; what is left for input and broker:
const (
	statusLinePatience = 20 * time.Millisecond // from the start of the command on
	statusLineMost     = time.Second           // that anybody may ask for
)

// envAccount names the account that a status line tells of.
const envAccount = "BURSAR_ACCOUNT"

// statusLineReservations is how many reservations of an agent the line adds up.
const statusLineReservations = 100

// statusLineCommand prints a line for Claude Code, and hands in what it read.
type statusLineCommand struct {
	*app
	agent   agentFlag
	account string
	wait    time.Duration
}

func (a *app) statusLine() *cobra.Command {
	c := &statusLineCommand{app: a}
	cmd := &cobra.Command{
		Use:   "statusline",
		Short: "Print Claude Code's status line and hand in what it tells",
		Long: "Read the status line JSON of Claude Code on standard input, hand in what it\n" +
			"tells of the account's windows, and print one line: how full they are, how\n" +
			"fast they fill, what the agent has reserved, and when they reset. It never\n" +
			"waits for a Bursar that is away: it then prints what the JSON itself tells,\n" +
			"and the exit status is 0.",
		Example: "  bursar statusline --account claude-max <status.json\n" +
			"  BURSAR_ACCOUNT=claude-max BURSAR_AGENT=builder-1 bursar statusline",
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	c.agent.register(flags, a)
	flags.StringVar(&c.account, "account", a.process.Getenv(envAccount), "`ID` of the subscription that Claude Code uses ($"+envAccount+"); without it\nnothing is handed in")
	flags.DurationVar(&c.wait, "wait", statusLinePatience, "`DURATION` for the input and the broker, at most 1s")
	return cmd
}

// statusLineView is the command's document.
type statusLineView struct {
	Line         string                 `json:"line"`
	Windows      []statusLineWindow     `json:"windows"`
	Reservations []wire.ReservationView `json:"reservations"`
	Observed     bool                   `json:"observed"`  // it was handed in now, and answered
	Reachable    bool                   `json:"reachable"` // the broker answered in time
}

type statusLineWindow struct {
	Window      string        `json:"window"`
	UsedPercent wire.Percent  `json:"used_percent"`
	PacePercent *wire.Percent `json:"pace_percent,omitzero"`
	ResetsAt    wire.Time     `json:"resets_at,omitzero"`
}

// run prints the line in any case. The broker is asked meanwhile; who does not answer in time is not waited for, and what
// was sent to it is on its way.
func (c *statusLineCommand) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(max(0, c.wait), statusLineMost))
	defer cancel()
	input := make(chan *statusline.Document, 1)
	broker := &brokerAnswer{done: make(chan struct{})}
	go func() {
		defer close(broker.done)
		c.ask(ctx, input, broker)
	}()
	document := c.document(ctx)
	input <- document
	select {
	case <-broker.done:
	case <-ctx.Done():
	}
	now := time.Now()
	reservations, observed, reachable := broker.so()
	view := statusLineView{
		Line: statusline.Line(document, reservations, now), Windows: []statusLineWindow{}, Reservations: reservations,
		Observed: observed, Reachable: reachable,
	}
	for i := range document.Windows {
		w := &document.Windows[i]
		shown := statusLineWindow{Window: w.Name, UsedPercent: wire.Percent(w.PercentMilli)}
		if pace, ok := w.Pace(now); ok {
			p := wire.Percent(pace * 1000)
			shown.PacePercent = &p
		}
		if !w.ResetAt.IsZero() {
			shown.ResetsAt = wireTime(w.ResetAt)
		}
		view.Windows = append(view.Windows, shown)
	}
	return c.show(view, func() { c.screen.Printf("%s\n", view.Line) })
}

// document reads one JSON document of standard input, which need not be closed after it.
func (c *statusLineCommand) document(ctx context.Context) *statusline.Document {
	read := make(chan json.RawMessage, 1)
	go func() {
		var document json.RawMessage
		if json.NewDecoder(io.LimitReader(c.process.Stdin, statusline.MaxBytes)).Decode(&document) != nil {
			document = nil // no JSON: it tells nothing
		}
		read <- document
	}()
	select {
	case document := <-read:
		return statusline.Read(document)
	case <-ctx.Done():
		return statusline.Read(nil)
	}
}

// brokerAnswer is what the broker has said so far.
type brokerAnswer struct {
	done chan struct{}

	mu           sync.Mutex
	reservations []wire.ReservationView
	observed     bool
	reachable    bool
}

func (b *brokerAnswer) so() (reservations []wire.ReservationView, observed, reachable bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]wire.ReservationView{}, b.reservations...), b.observed, b.reachable
}

// ask connects while the input is read, then hands in and asks at once. What goes wrong is nobody's matter here.
func (c *statusLineCommand) ask(ctx context.Context, input <-chan *statusline.Document, answer *brokerAnswer) {
	t, err := c.agentTarget()
	if err != nil {
		return
	}
	nc, err := c.connect(ctx, t)
	if err != nil {
		return
	}
	defer nc.Close()
	left := statusLineMost
	if end, ok := ctx.Deadline(); ok {
		left = max(time.Millisecond, time.Until(end))
	}
	b, err := client.New(nc, client.Options{Workspace: t.workspace, Principal: t.principal, Timeout: left, Patience: left, Log: c.log})
	if err != nil {
		return
	}
	var document *statusline.Document
	select {
	case document = <-input:
	case <-ctx.Done():
		return
	}
	agent := b.Agent(c.agent.name)
	var asking sync.WaitGroup
	asking.Go(func() { c.handIn(ctx, agent, t, document, answer) })
	asking.Go(func() {
		list, err := agent.List(ctx, wire.ListRequest{Limit: statusLineReservations})
		if err != nil {
			return
		}
		answer.mu.Lock()
		answer.reservations, answer.reachable = list.Reservations, true
		answer.mu.Unlock()
	})
	asking.Wait()
}

// handIn hands in what the document tells, unless that was done a moment ago.
func (c *statusLineCommand) handIn(ctx context.Context, agent *client.Agent, t *target, document *statusline.Document, answer *brokerAnswer) {
	now := time.Now()
	if c.account == "" || len(document.Windows) == 0 {
		return
	}
	memory := c.memory(t)
	if !memory.New(document, now) {
		return
	}
	reply, err := agent.Observe(ctx, wire.ObserveRequest{
		Account: c.account, ObservedAt: wire.TimeOf(quota.InstantOf(now)), Raw: &wire.RawObservation{StatusLine: document.Raw},
	})
	if err != nil {
		return
	}
	memory.Keep(document, now)
	answer.mu.Lock()
	answer.observed, answer.reachable = reply.Recorded, true
	answer.mu.Unlock()
}

// envCache names the user's cache folder; the operating system's own where it is not set.
const envCache = "XDG_CACHE_HOME"

func (c *statusLineCommand) memory(t *target) *statusline.Memory {
	folder := c.process.Getenv(envCache)
	if folder == "" {
		var err error
		if folder, err = os.UserCacheDir(); err != nil {
			folder = os.TempDir()
		}
	}
	return statusline.MemoryOf(filepath.Join(folder, "bursar", "statusline"), t.where()+" "+t.workspace, c.account)
}
