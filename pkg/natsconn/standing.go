package natsconn

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// Standing is a condition of being ready: that the connections of a service stand. The zero value has none, and is not ready.
// It is safe for concurrent use.
type Standing struct {
	mu    sync.Mutex
	conns []*nats.Conn
}

// Add has a connection count from now on.
func (s *Standing) Add(nc *nats.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, nc)
}

// Ready returns nil while every connection stands, else which one does not.
func (s *Standing) Ready(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 {
		return errors.New("not connected yet: the log says to which server")
	}
	for _, nc := range s.conns {
		if !nc.IsConnected() {
			return fmt.Errorf("connection %q is not there: %s", nc.Opts.Name, nc.Status())
		}
	}
	return nil
}
