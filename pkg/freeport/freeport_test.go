package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/bursarhq/bursar/pkg/freeport"
)

func TestPortsDifferAndAreFree(t *testing.T) {
	t.Parallel()
	const n = 50
	ports, err := freeport.Find(t.Context(), n)
	if err != nil || len(ports) != n {
		t.Fatalf("%d ports, %v", len(ports), err)
	}
	for _, port := range ports {
		// All are held until the end, so that a port that was given twice fails.
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		if port >= 30000 {
			t.Errorf("port %d is among those of outgoing connections", port)
		}
	}
}
