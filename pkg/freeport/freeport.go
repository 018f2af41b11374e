// Package freeport finds ports for servers that are stopped and started again at the same address.
//
// What the kernel gives for port 0 is taken from the range of outgoing connections: between two starts of a server its port may
// become the near end of anybody's connection, which on a busy machine does happen. The ports here are below that range.
package freeport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

const (
	// first and last are below the ports that Linux (32768), macOS and Windows (49152) give to outgoing connections.
	first, last = 20000, 29999
	// attempts bounds the search. So many ports in use are no coincidence.
	attempts = 1000
)

// Find returns n different TCP ports of 127.0.0.1 on which nobody listens now. Another program may take one before the caller's
// server does; as they are chosen at random, that is rare.
func Find(ctx context.Context, n int) ([]int, error) {
	var config net.ListenConfig
	ports := make([]int, 0, n)
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(last-first+1)
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }() // after all are found, so that they differ
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("find a free port: %d of them between %d and %d are in use", attempts, first, last)
}
