package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/follow"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Timing of polling.
const (
	pollGap      = 250 * time.Millisecond // between two looks, however much happens
	pollInterval = 2 * time.Second        // for what changes by time alone
	adviceTicks  = 5                      // looks by time between two readings of the advice
	stateTimeout = 4 * time.Second        // of one look
	readTimeout  = 5 * time.Second        // of one reading of the advice
)

// What a page shows at most.
const (
	maxReservations = 100
	maxQueued       = 50
	// maxPublicBytes is the largest event that is shown with its data: a configuration can be larger than a page wants.
	maxPublicBytes = 16 << 10
	maxIDBytes     = 200
)

// Source is where a poller asks.
type Source struct {
	Workspace string
	// Broker answers how everything stands.
	Broker *client.Client
	// Reader reads streams.
	Reader *nats.Conn
	Log    *slog.Logger
}

// Poller keeps a board up to date.
type Poller struct {
	Source
	board *Board
	dirty chan struct{} // something happened
	told  chan struct{} // advice was given
	last  State         // of the last answer
}

// NewPoller makes a poller of a board.
func NewPoller(board *Board, source Source) *Poller {
	return &Poller{Source: source, board: board, dirty: make(chan struct{}, 1), told: make(chan struct{}, 1)}
}

// Follow hands the events to the board until ctx ends; it goes on across restarts of the broker.
func (p *Poller) Follow(ctx context.Context) error {
	subjects, err := follow.Subjects(p.Workspace, "", nil)
	if err != nil {
		return fmt.Errorf("subjects of events: %w", err)
	}
	err = follow.Events(ctx, p.Reader, follow.Query{Subjects: subjects, Last: maxEvents, Log: p.Log}, func(body []byte) error {
		p.take(body)
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// take puts an event on the board. One that cannot be read is left out: the stream belongs to the broker, and a page
// that ends for a strange event helps nobody.
func (p *Poller) take(body []byte) {
	event, err := wire.DecodeEvent(body)
	if err != nil || !plain(event.ID) {
		p.Log.Warn("an event that cannot be read is left out", "error", err)
		return
	}
	if len(body) > maxPublicBytes {
		event.Data = json.RawMessage("{}")
	}
	line, err := json.Marshal(&event) // compacts what others have published, so that it is one line
	if err != nil {
		p.Log.Warn("an event that cannot be encoded is left out", "error", err)
		return
	}
	p.board.Add(event.ID, line)
	signal(p.dirty)
	if event.Kind() == wire.KindSuggestionMade {
		signal(p.told)
	}
}

// plain tells whether an id can stand in a line of the event stream.
func plain(id string) bool {
	return id != "" && len(id) <= maxIDBytes && !strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' })
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run asks whenever something happened, and by time, while anybody looks on. It returns nil when ctx ends.
func (p *Poller) Run(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for looks := 0; ; {
		advise := false
		select {
		case <-ctx.Done():
			return nil
		case <-p.board.Woken():
			advise = true
		case <-p.told:
			advise = true
		case <-p.dirty:
		case <-tick.C:
			looks++
			advise = looks%adviceTicks == 0
		}
		if !p.board.Watched() {
			continue
		}
		p.look(ctx)
		if advise {
			p.readAdvice(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollGap):
		}
	}
}

// look shows how everything stands now, or that nobody answers.
func (p *Poller) look(ctx context.Context) {
	state, err := p.State(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.Log.Debug("the broker does not answer", "error", err)
		if p.last.Broker.OK || p.last.Broker.Since == 0 {
			p.last.Broker = Broker{Since: wire.Time(time.Now().UnixMilli())}
		}
		state = &p.last
	}
	p.last = *state
	body, err := json.Marshal(state)
	if err != nil {
		p.Log.Error("the state cannot be encoded", "error", err)
		return
	}
	p.board.SetState(body)
}

// State asks how everything stands.
func (p *Poller) State(ctx context.Context) (*State, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	accounts, err := p.Broker.Accounts(ctx, wire.AccountsRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask for the accounts: %w", err)
	}
	open, err := p.Broker.Reservations(ctx, wire.ReservationsRequest{Limit: maxReservations})
	if err != nil {
		return nil, fmt.Errorf("ask for the reservations: %w", err)
	}
	queue, err := p.Broker.Queue(ctx, wire.QueueRequest{Limit: maxQueued})
	if err != nil {
		return nil, fmt.Errorf("ask for the queue: %w", err)
	}
	return &State{
		Workspace: p.Workspace, Broker: Broker{OK: true}, AccountsReply: accounts, Outlooks: outlooks(accounts),
		Reservations: list(open.Reservations), MoreReservations: open.Next != "", Queue: list(queue.Waiting), Queued: queue.Total,
	}, nil
}

// list makes an absent list an empty one.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// readAdvice shows the current advice. Without an answer, what was shown stays.
func (p *Poller) readAdvice(ctx context.Context) {
	body, err := p.Advice(ctx)
	if err != nil {
		p.Log.Debug("the advice cannot be read", "error", err)
		return
	}
	p.board.SetAdvice(body)
}

// Advice reads the current advice as a wire.SuggestionList in JSON, without what was dismissed since it was made. Before there
// was any, its list is empty.
func (p *Poller) Advice(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	js, err := jetstream.New(p.Reader)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	bucket, err := js.KeyValue(ctx, wire.BucketSuggestions)
	if err != nil {
		return nil, fmt.Errorf("open the suggestions: %w", err)
	}
	list := wire.NoSuggestions(p.Workspace, wire.Time(time.Now().UnixMilli()))
	if err := p.value(ctx, bucket, wire.SuggestionsKey, &list); err != nil {
		return nil, fmt.Errorf("read the suggestions: %w", err)
	}
	var dismissed wire.SuggestionDismissals
	if err := p.value(ctx, bucket, wire.DismissalsKey, &dismissed); err != nil {
		return nil, fmt.Errorf("read the dismissals: %w", err)
	}
	list.LeaveOut(dismissed)
	return json.Marshal(&list)
}

// value reads one value of the workspace; one that is not there leaves into as it is.
func (p *Poller) value(ctx context.Context, bucket jetstream.KeyValue, of func(workspace string) (string, error), into any) error {
	key, err := of(p.Workspace)
	if err != nil {
		return err
	}
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(entry.Value(), into)
}
