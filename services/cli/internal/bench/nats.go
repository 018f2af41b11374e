package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats.go"

	"github.com/bursarhq/bursar/pkg/natsembed"
)

const (
	echoSubject = "bench.echo"
	// The echo carries as many bytes as a reserve and its answer do.
	echoRequestBytes = 400
	echoReplyBytes   = 350
)

// startNATS starts one server for each durability class, an echo on each, and the allocator beside it.
func (r *run) startNATS(ctx context.Context) error {
	for _, class := range []struct {
		sync natsembed.Sync
		name string
	}{
		{natsembed.SyncAlways, "fsync"},
		{natsembed.SyncSecond, "page"},
	} {
		server, err := natsembed.Start(ctx, natsembed.Options{
			StoreDir: filepath.Join(r.options.Dir, "nats-"+string(class.sync)), Sync: class.sync, Log: r.options.Log,
		})
		if err != nil {
			return fmt.Errorf("start NATS: %w", err)
		}
		r.closers = append(r.closers, server.Shutdown)
		if err := r.startEcho(server.URL(), class.name, class.sync); err != nil {
			return err
		}
	}
	return nil
}

// startEcho subscribes a responder that does nothing, on a connection of its own as the allocator has.
func (r *run) startEcho(url, class string, sync natsembed.Sync) error {
	nc, err := nats.Connect(url, nats.Name("bench echo"))
	if err != nil {
		return fmt.Errorf("connect the echo: %w", err)
	}
	r.closers = append(r.closers, func() error { nc.Close(); return nil })
	answer := make([]byte, echoReplyBytes)
	_, err = nc.Subscribe(echoSubject, func(m *nats.Msg) {
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
			Name: "echo-" + class, System: "NATS, a bare reply", Durability: ClassNone,
			Setting: "on the server with sync_interval " + string(sync), Layout: r.sharedLayout(),
		},
		echo:    len(r.sides),
		connect: func(context.Context, int) (session, error) { return r.connectEcho(url) },
	})
	return nil
}

func (r *run) sharedLayout() string {
	return fmt.Sprintf("%d shared", r.options.Connections)
}

// echoSession shares its connections among the clients.
type echoSession struct {
	conns   []*nats.Conn
	request []byte
}

func (r *run) connectEcho(url string) (*echoSession, error) {
	s := &echoSession{request: make([]byte, echoRequestBytes)}
	for range r.options.Connections {
		nc, err := nats.Connect(url, nats.Name("bench client"))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect: %w", err), s.close())
		}
		s.conns = append(s.conns, nc)
	}
	return s, nil
}

func (s *echoSession) reserve(ctx context.Context, client int) error { return s.ask(ctx, client) }
func (s *echoSession) release(ctx context.Context, client int) error { return s.ask(ctx, client) }

func (s *echoSession) ask(ctx context.Context, client int) error {
	_, err := s.conns[client%len(s.conns)].RequestWithContext(ctx, echoSubject, s.request)
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
