package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsconn"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/cli/internal/datadir"
)

// storeTimeout bounds one request to JetStream.
const storeTimeout = 10 * time.Second

// remote is a running Bursar, as one principal sees it.
type remote struct {
	*client.Client
	nc        *nats.Conn
	workspace string
	principal string
}

// target says where a Bursar is and as whom to speak.
type target struct {
	url       string
	context   string
	nkey      string
	creds     string
	reader    string // seed of the reader of streams
	inbox     string // prefix of inboxes; empty means the principal's
	keys      string // directory of seeds, where the target is a `bursar up` of this machine
	workspace string
	principal string
}

// agentTarget is target for commands that speak for agents. Where no principal is named, it takes one of a running
// `bursar up` that runs agents: the operator's own credentials are for operating.
func (a *app) agentTarget() (*target, error) {
	t, err := a.target()
	if err != nil || t.keys == "" || a.options.principal != "" || a.options.nkey != "" || a.options.creds != "" {
		return t, err
	}
	principals, err := natsauth.Principals(t.keys, natsauth.RoleAgent, t.workspace)
	if err != nil {
		return nil, err
	}
	switch {
	case slices.Contains(principals, demoPrincipal):
		t.principal = demoPrincipal
	case len(principals) == 1:
		t.principal = principals[0]
	default:
		return nil, usagef("say for whom with --principal: one of %s", strings.Join(principals, ", "))
	}
	t.nkey = ""
	return t, t.findSeed()
}

// demoPrincipal runs agents in the built-in configuration.
const demoPrincipal = "demo"

// target finds the Bursar that the command line means: what the flags name, else the running `bursar up`.
func (a *app) target() (*target, error) {
	o := &a.options
	t := &target{url: o.server, context: o.context, nkey: o.nkey, creds: o.creds, reader: o.reader, workspace: o.workspace, principal: o.principal}
	if t.context != "" {
		if err := t.fromContext(); err != nil {
			return nil, err
		}
	}
	if t.url == "" && t.context == "" {
		if err := t.fromDataDir(datadir.Dir(o.dataDir)); err != nil {
			return nil, err
		}
	}
	if t.workspace == "" {
		t.workspace = natsauth.DefaultWorkspace
	}
	if t.principal == "" {
		t.principal = natsauth.DefaultOperator
	}
	return t, nil
}

// fromContext learns from a NATS context's inbox prefix for whom its credentials are.
func (t *target) fromContext() error {
	prefix, err := natsconn.ContextInboxPrefix(t.context)
	if err != nil {
		return usage(err)
	}
	workspace, principal, err := wire.ParseInboxPrefix(prefix)
	if err != nil {
		return nil //nolint:nilerr // the context says nothing about it; flags and defaults do
	}
	if t.workspace == "" {
		t.workspace = workspace
	}
	if t.principal == "" {
		t.principal = principal
	}
	return nil
}

// fromDataDir finds the running `bursar up` and the seed of the principal.
func (t *target) fromDataDir(dir datadir.Dir) error {
	e, err := dir.ReadEndpoints()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !dir.InUse() {
		return fmt.Errorf("no Bursar is running in %s; start one with `bursar up`, or name one with --server, --context or --data-dir", dir)
	}
	if err != nil {
		return err
	}
	t.url = e.NATS
	if t.workspace == "" {
		t.workspace = e.Workspace
	}
	if t.principal == "" {
		t.principal = natsauth.DefaultOperator
	}
	t.keys = e.Keys
	return t.findSeed()
}

// findSeed finds the seed of the principal in the data directory, unless other credentials are named.
func (t *target) findSeed() error {
	if t.nkey != "" || t.creds != "" || t.keys == "" {
		return nil
	}
	for _, id := range []natsauth.Identity{natsauth.Operator(t.workspace, t.principal), natsauth.Agent(t.workspace, t.principal)} {
		file, err := natsauth.SeedFile(t.keys, id)
		if err != nil {
			return usage(err)
		}
		if _, err := os.Stat(file); err == nil {
			t.nkey = file
			return nil
		}
	}
	return fmt.Errorf("there are no credentials of principal %q in workspace %q: add it to the configuration with `bursar apply`, or choose another --principal", t.principal, t.workspace)
}

// asReader gives the same target with the credentials that read streams: events of the past, suggestions, the
// ledger. A context's own credentials are used as they are, with the inbox that goes with them.
func (t target) asReader() (*target, error) {
	if t.context != "" && t.reader == "" {
		if t.nkey != "" || t.creds != "" {
			return &t, nil
		}
		var err error
		t.inbox, err = natsconn.ContextInboxPrefix(t.context)
		return &t, err
	}
	if t.reader == "" && t.keys != "" {
		file, err := natsauth.SeedFile(t.keys, natsauth.Service(natsauth.RoleReader))
		if err != nil {
			return nil, err
		}
		t.reader = file
	}
	if t.reader == "" {
		return nil, errNoReader
	}
	prefix, err := natsauth.Service(natsauth.RoleReader).InboxPrefix()
	if err != nil {
		return nil, err
	}
	t.nkey, t.creds, t.inbox = t.reader, "", prefix
	return &t, nil
}

// errNoReader: nothing says with which credentials streams may be read, or these may not.
var errNoReader = errors.New("reading streams takes the reader's credentials: give --reader-nkey FILE")

// connect opens a connection as the target's principal. The caller closes it.
func (a *app) connect(ctx context.Context, t *target) (*nats.Conn, error) {
	prefix := t.inbox
	if prefix == "" {
		var err error
		if prefix, err = wire.InboxPrefix(t.workspace, t.principal); err != nil {
			return nil, usage(err)
		}
	}
	nc, err := natsconn.Connect(ctx, natsconn.Config{
		Name: "bursar cli", URL: t.url, Context: t.context, NkeySeedFile: t.nkey, CredsFile: t.creds, InboxPrefix: prefix, Log: a.log,
	})
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
		return nil, fmt.Errorf("no NATS server answers at %s: is the Bursar running? Start one with `bursar up`", t.where())
	case errors.Is(err, nats.ErrAuthorization):
		return nil, fmt.Errorf("the server at %s refuses the credentials of principal %q: check --principal and --nkey", t.where(), t.principal)
	}
	return nil, err
}

func (t *target) where() string {
	if t.url != "" {
		return t.url
	}
	return "the address of context " + t.context
}

// connected runs do with a connection to the Bursar that the command line means.
func (a *app) connected(ctx context.Context, do func(context.Context, *remote) error) error {
	t, err := a.target()
	if err != nil {
		return err
	}
	return a.as(ctx, t, do)
}

// asAgent runs do with a connection that speaks for agents.
func (a *app) asAgent(ctx context.Context, do func(context.Context, *remote) error) error {
	t, err := a.agentTarget()
	if err != nil {
		return err
	}
	return a.as(ctx, t, do)
}

// as runs do with a connection to a target.
func (a *app) as(ctx context.Context, t *target, do func(context.Context, *remote) error) (err error) {
	nc, err := a.connect(ctx, t)
	if err != nil {
		return err
	}
	defer nc.Close()
	c, err := client.New(nc, client.Options{Workspace: t.workspace, Principal: t.principal, Log: a.log})
	if err != nil {
		return fmt.Errorf("open the client: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return do(ctx, &remote{Client: c, nc: nc, workspace: t.workspace, principal: t.principal})
}

// allReservations lists reservations across pages, up to most.
func (b *remote) allReservations(ctx context.Context, filter wire.ReservationsRequest, most int) (*wire.ReservationsReply, error) {
	all := &wire.ReservationsReply{Reservations: []wire.ReservationView{}}
	for {
		filter.Limit = int64(min(most-len(all.Reservations), wire.MaxListLimit))
		page, err := b.Reservations(ctx, filter)
		if err != nil {
			return nil, err
		}
		all.Now, all.Next = page.Now, page.Next
		all.Reservations = append(all.Reservations, page.Reservations...)
		if page.Next == "" || len(all.Reservations) >= most {
			return all, nil
		}
		filter.After = page.Next
	}
}

// reading runs do with a connection that may read streams.
func (a *app) reading(ctx context.Context, do func(ctx context.Context, workspace string, nc *nats.Conn) error) error {
	own, err := a.target()
	if err != nil {
		return err
	}
	t, err := own.asReader()
	if err != nil {
		return err
	}
	nc, err := a.connect(ctx, t)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := whilePermitted(ctx, nc)
	defer cancel()
	err = do(ctx, t.workspace, nc)
	if forbidden := context.Cause(ctx); errors.Is(forbidden, errNoReader) {
		return forbidden
	}
	return err
}

// whilePermitted ends the context, with a cause that is an errNoReader, when the server forbids something on the
// connection. It says so beside the request, which is never answered: who waits for the answer waits in vain.
func whilePermitted(ctx context.Context, nc *nats.Conn) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	log := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			cancel(fmt.Errorf("%w (%w)", errNoReader, err))
			return
		}
		log(nc, sub, err)
	})
	return ctx, func() { cancel(nil) }
}

// suggestions reads the current advice; before there was any, the list is empty.
func (a *app) suggestions(ctx context.Context) (current wire.SuggestionList, err error) {
	err = a.reading(ctx, func(ctx context.Context, workspace string, nc *nats.Conn) error {
		current, err = readSuggestions(ctx, workspace, nc)
		return err
	})
	return current, err
}

func readSuggestions(ctx context.Context, workspace string, nc *nats.Conn) (wire.SuggestionList, error) {
	none := wire.NoSuggestions(workspace, wireTime(time.Now()))
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return none, fmt.Errorf("open jetstream: %w", err)
	}
	bucket, err := js.KeyValue(ctx, wire.BucketSuggestions)
	if err != nil {
		return none, fmt.Errorf("open the suggestions: %w", err)
	}
	key, err := wire.SuggestionsKey(workspace)
	if err != nil {
		return none, usage(err)
	}
	entry, err := bucket.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("read the suggestions: %w", err)
	}
	current, err := decodeSuggestions(entry.Value())
	if err != nil {
		return none, err
	}
	key, err = wire.DismissalsKey(workspace)
	if err != nil {
		return none, usage(err)
	}
	dismissed, _, err := readDismissals(ctx, bucket, key)
	if err != nil {
		return none, err
	}
	current.LeaveOut(dismissed)
	return current, nil
}
