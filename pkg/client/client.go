package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Defaults of [Options].
const (
	// DefaultTimeout bounds one try.
	DefaultTimeout = 3 * time.Second
	// DefaultPatience bounds all tries of a call; an election takes up to 15 s.
	DefaultPatience = 20 * time.Second
	// DefaultLease is what [Agent.Do] asks for: how soon the quota of a crashed agent is free again.
	DefaultLease = 2 * time.Minute
)

// requestBytes is what a usual request takes.
const requestBytes = 512

// Options say as whom a client speaks and how long it tries.
type Options struct {
	// Workspace and Principal are required. The server lets a connection speak only for its own principal.
	Workspace string
	Principal string
	// Timeout bounds one try, Patience all tries of a call; 0 means the default.
	Timeout  time.Duration
	Patience time.Duration
	// Lease is the lease of a reservation made by [Agent.Do] that asks for none; 0 means the default.
	Lease time.Duration
	// PreemptGrace is the operator's policy.preempt_grace; 0 means its default. A preemptible reservation of [Agent.Do]
	// shows life three times within it, so that it learns in time of its preemption if the pushed notice gets lost.
	PreemptGrace time.Duration
	// OnNotice is told once of each notice to an agent of this client, in the goroutine that received it; it must not
	// block. The notice is acknowledged with the agent's next request. Nil acknowledges without telling anyone.
	OnNotice func(agent string, notice wire.Notice)
	// Log receives what cannot be returned: renewals that failed. Nil discards it.
	Log *slog.Logger
}

// Validate reports every fault at once.
func (o *Options) Validate() error {
	var errs []error
	if o.Workspace == "" || o.Principal == "" {
		errs = append(errs, errors.New("workspace and principal must not be empty"))
	}
	if o.Timeout < 0 || o.Patience < 0 || o.Lease < 0 || o.PreemptGrace < 0 {
		errs = append(errs, errors.New("timeout, patience, lease and grace must not be negative"))
	}
	if _, err := wire.InboxPrefix(o.Workspace, o.Principal); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Client speaks for one principal of one workspace over one shared connection.
type Client struct {
	nc      *nats.Conn
	options Options
	pushes  *nats.Subscription
	replies *replies
	closed  chan struct{}
	fetches sync.WaitGroup // of notices
	buffers sync.Pool      // of *[]byte, for requests

	mu     sync.Mutex
	agents map[string]*Agent
}

// New makes a client on a connection, which stays the caller's to close. The connection must receive its replies below
// the principal's own inbox prefix (nats.CustomInboxPrefix with [wire.InboxPrefix]): the server answers nowhere else.
// The error says which option is wrong. Call [Client.Close] when done.
func New(nc *nats.Conn, o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("client options: %w", err)
	}
	prefix, err := wire.InboxPrefix(o.Workspace, o.Principal)
	if err != nil {
		return nil, fmt.Errorf("client options: %w", err)
	}
	if nc.Opts.InboxPrefix != prefix {
		return nil, fmt.Errorf("client options: the connection's inbox prefix is %q, it must be %q: connect with nats.CustomInboxPrefix", nc.Opts.InboxPrefix, prefix)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.PreemptGrace == 0 {
		o.PreemptGrace = quota.DefaultPreemptGrace.Duration()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{nc: nc, options: o, closed: make(chan struct{}), agents: map[string]*Agent{}}
	c.buffers.New = func() any { b := make([]byte, 0, requestBytes); return &b }
	if c.replies, err = newReplies(nc); err != nil {
		return nil, err
	}
	return c, c.listen()
}

// listen subscribes to the notices that are pushed to the principal's agents. They only hurry up: the same notices come
// with replies too.
func (c *Client) listen() error {
	filter, err := wire.PrincipalFilter(c.options.Workspace, wire.KindNotice, c.options.Principal)
	if err != nil {
		return fmt.Errorf("subject of notices: %w", err)
	}
	// The filter of a principal ends in ">": a notice subject has the agent as its last token.
	c.pushes, err = c.nc.Subscribe(filter, c.pushed)
	if err != nil {
		return fmt.Errorf("subscribe to notices: %w", err)
	}
	return nil
}

func (c *Client) pushed(msg *nats.Msg) {
	subject, err := wire.ParseSubject(msg.Subject)
	if err != nil {
		c.options.Log.Warn("a notice on a subject that is none", "subject", msg.Subject, "error", err)
		return
	}
	var n wire.Notice
	if _, err := wire.DecodeReply(msg.Data, &n); err != nil {
		c.options.Log.Warn("a notice that cannot be read", "subject", msg.Subject, "error", err)
		return
	}
	c.mu.Lock()
	agent := c.agents[subject.Agent]
	c.mu.Unlock()
	if agent != nil {
		agent.hurry(n)
	}
}

// Close stops listening for notices and for replies: calls under way fail. Call it once. The connection stays open.
func (c *Client) Close() error {
	c.mu.Lock()
	close(c.closed)
	c.mu.Unlock()
	err := c.pushes.Unsubscribe()
	c.fetches.Wait()
	err = errors.Join(err, c.replies.sub.Unsubscribe())
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("stop listening: %w", err)
	}
	return nil
}

// background runs something that Close waits for; not at all once the client is closed.
func (c *Client) background(run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
	default:
		c.fetches.Go(run)
	}
}

// untilClosed gives a context that ends when the client is closed, or out of patience.
func (c *Client) untilClosed() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), c.options.Patience)
	go func() {
		defer cancel()
		select {
		case <-c.closed:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Agent speaks for one agent. The same name gives the same Agent. A name that cannot be encoded is told by its calls.
func (c *Client) Agent(name string) *Agent {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.agents[name]
	if a == nil {
		a = &Agent{client: c, name: name, tasks: map[string]*Task{}, waits: map[string]*Queued{}, seen: map[noticeKey]bool{}}
		subject, err := wire.AgentSubject(c.options.Workspace, c.options.Principal, name, wire.VerbReserve)
		a.prefix, a.invalid = strings.TrimSuffix(subject, wire.VerbReserve), err
		if name == "" {
			a.invalid = fmt.Errorf("%w: an agent needs a name", wire.ErrInvalid)
		}
		c.agents[name] = a
	}
	return a
}
