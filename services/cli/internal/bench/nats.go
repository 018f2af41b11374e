package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/client"
	"github.com/bursarhq/bursar/pkg/natsauth"
	"github.com/bursarhq/bursar/pkg/natsembed"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

const echoSubject = "bench.echo"

// startNATS starts the echo and Bursar in each durability class, with and without the relay.
func (r *run) startNATS(ctx context.Context) error {
	for _, class := range []struct {
		sync             natsembed.Sync
		name, durability string
	}{
		{natsembed.SyncAlways, "fsync", ClassFsync},
		{natsembed.SyncSecond, "page", ClassPageCache},
	} {
		setting := "sync_interval " + string(class.sync)
		about := description{Name: "bursar-" + class.name, System: "Bursar", Durability: class.durability, Setting: setting, Layout: r.sharedLayout()}
		b, err := r.startBroker(ctx, about.Name, class.sync)
		if err != nil {
			return err
		}
		if err := r.startEcho(b, class.name); err != nil {
			return err
		}
		if err := r.startBursar(ctx, b, about, false); err != nil {
			return err
		}
		if err := r.startFloors(ctx, class.name, class.sync, about); err != nil {
			return err
		}
		about.Name, about.System = about.Name+"-relay", "Bursar with its relay"
		if !r.options.wants(about.Name) {
			continue
		}
		if b, err = r.startBroker(ctx, about.Name, class.sync); err != nil {
			return err
		}
		if err := r.startBursar(ctx, b, about, true); err != nil {
			return err
		}
	}
	return nil
}

// startBroker starts a server of its own for a side, with a ledger for each number of clients, so that
// what one measurement leaves behind does not weigh on the others.
func (r *run) startBroker(ctx context.Context, name string, sync natsembed.Sync) (*broker, error) {
	var workspaces []string
	for _, clients := range r.options.Clients {
		workspaces = append(workspaces, workspaceOf(clients))
	}
	b, err := startBroker(ctx, filepath.Join(r.options.Dir, name), sync, workspaces, r.options.Log)
	if err != nil {
		return nil, fmt.Errorf("start NATS: %w", err)
	}
	r.closers = append(r.closers, b.server.Shutdown)
	return b, nil
}

func workspaceOf(clients int) string { return "clients-" + strconv.Itoa(clients) }

// startBursar starts an allocator on a server and adds its side.
func (r *run) startBursar(ctx context.Context, b *broker, about description, relay bool) error {
	if !r.options.wants(about.Name) {
		return nil
	}
	allocator, err := b.startAllocator(ctx, relay)
	if err != nil {
		return fmt.Errorf("start the allocator: %w", err)
	}
	r.closers = append(r.closers, allocator.stop)
	one := side{description: about, echo: r.echoOf(about.Durability)}
	one.connect = func(ctx context.Context, clients int) (session, error) {
		return connectBursar(ctx, b, workspaceOf(clients), r.options.Connections, clients)
	}
	if relay {
		one.settle = b.awaitRelay
	}
	r.sides = append(r.sides, one)
	return nil
}

// startEcho subscribes a responder that does nothing, on a connection of its own as the allocator has.
func (r *run) startEcho(b *broker, class string) error {
	nc, err := b.connectEcho()
	if err != nil {
		return err
	}
	r.closers = append(r.closers, func() error { nc.Close(); return nil })
	sizes := echoSizes()
	reserved, released := make([]byte, sizes.reserved), make([]byte, sizes.released)
	_, err = nc.Subscribe(echoSubject, func(m *nats.Msg) {
		answer := reserved
		if len(m.Data) == sizes.release {
			answer = released
		}
		if err := m.Respond(answer); err != nil {
			r.options.Log.Error("the echo cannot answer", "error", err)
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe the echo: %w", err)
	}
	if err := nc.Flush(); err != nil {
		return fmt.Errorf("subscribe the echo: %w", err)
	}
	r.sides = append(r.sides, side{
		description: description{
			Name: "echo-" + class, System: "a bare reply", Durability: ClassNone, Setting: "same server as bursar-" + class, Layout: r.sharedLayout(),
		},
		echo:    len(r.sides),
		connect: func(context.Context, int) (session, error) { return connectEcho(b, r.options.Connections) },
	})
	return nil
}

func (r *run) sharedLayout() string { return fmt.Sprintf("%d shared", r.options.Connections) }

// bytesOf are the sizes of the bodies of a reserve, a release and the replies to them.
type bytesOf struct{ reserve, reserved, release, released int }

// echoSizes gives what Bursar's clients send and are answered, so that the echo carries as much. It is taken from the
// encoding itself, of a grant as the benchmark asks for.
func echoSizes() bytesOf {
	const id = "0195f3c2-7b1e-7a44-9d0b-3f6f2a7c5e10"
	amount := quota.Amount{Tokens: quota.Tokens(benchReserve().Tokens), Requests: 1}
	result := quota.Result{
		Reservation: id, Provider: "claude", Account: benchAccount, Model: benchReserve().Model, Priority: quota.PriorityNormal, Granted: amount,
		CostHeld: 3000, Expires: quota.InstantOf(time.Now()), Version: 1,
	}
	reserve, release := benchReserve(), wire.ReleaseRequest{ReservationID: id}
	reserve.RequestID, release.RequestID = id, id
	sizes := bytesOf{reserve: len(reserve.Append(nil)), reserved: len(wire.AppendResult(nil, &reserve, &result, nil))}
	result.Outcome, result.Returned = quota.OutcomeReleased, amount
	sizes.release, sizes.released = len(release.Append(nil)), len(wire.AppendResult(nil, &release, &result, nil))
	return sizes
}

// benchReserve is what every client asks for.
func benchReserve() wire.ReserveRequest {
	return wire.ReserveRequest{
		Account: benchAccount, Model: "claude-haiku-4-5", TaskType: "code_review",
		Tokens: wire.Tokens{Input: reserveAmount / 2, Output: reserveAmount / 2},
	}
}

// echoSession shares its connections among the clients.
type echoSession struct {
	conns                []*nats.Conn
	reserving, releasing []byte
}

func connectEcho(b *broker, connections int) (*echoSession, error) {
	sizes := echoSizes()
	s := &echoSession{reserving: make([]byte, sizes.reserve), releasing: make([]byte, sizes.release)}
	for range connections {
		nc, err := b.connectEcho()
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.conns = append(s.conns, nc)
	}
	return s, nil
}

func (s *echoSession) reserve(ctx context.Context, client int) error {
	return s.ask(ctx, client, s.reserving)
}

func (s *echoSession) release(ctx context.Context, client int) error {
	return s.ask(ctx, client, s.releasing)
}

func (s *echoSession) ask(ctx context.Context, client int, request []byte) error {
	_, err := s.conns[client%len(s.conns)].RequestWithContext(ctx, echoSubject, request)
	if err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	return nil
}

func (s *echoSession) close() error {
	for _, nc := range s.conns {
		nc.Close()
	}
	return nil
}

// bursarSession is agents of one principal that share connections.
type bursarSession struct {
	conns   []*nats.Conn
	clients []*client.Client
	agents  []*client.Agent
	open    []string // by agent: the reservation it holds
}

func connectBursar(ctx context.Context, b *broker, workspace string, connections, agents int) (*bursarSession, error) {
	s := &bursarSession{open: make([]string, agents)}
	for range connections {
		nc, err := b.connect(ctx, natsauth.Agent(workspace, benchPrincipal))
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.conns = append(s.conns, nc)
		c, err := client.New(nc, client.Options{Workspace: workspace, Principal: benchPrincipal, Log: b.log})
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.clients = append(s.clients, c)
	}
	for i := range agents {
		s.agents = append(s.agents, s.clients[i%connections].Agent("agent-"+strconv.Itoa(i)))
	}
	return s, nil
}

func (s *bursarSession) reserve(ctx context.Context, agent int) error {
	reply, err := s.agents[agent].Reserve(ctx, benchReserve())
	if err != nil {
		return err
	}
	s.open[agent] = reply.ReservationID
	return nil
}

func (s *bursarSession) release(ctx context.Context, agent int) error {
	_, err := s.agents[agent].Release(ctx, wire.ReleaseRequest{ReservationID: s.open[agent]})
	return err
}

func (s *bursarSession) close() error {
	var faults []error
	for _, c := range s.clients {
		faults = append(faults, c.Close())
	}
	for _, nc := range s.conns {
		nc.Close()
	}
	return errors.Join(faults...)
}
