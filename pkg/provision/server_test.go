package provision

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestServersThatAreTooOld(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]error{
		"2.15.1": ErrOldServer, "2.9.25": ErrOldServer, "1.99.99": ErrOldServer, "2.11.0-RC.2": ErrOldServer,
		MinServer: nil, "2.15.10": nil, "2.16.0-dev": nil, "3.0.0": nil, "": nil, "built by hand": nil,
	} {
		if err := recent(version); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", version, err, want)
		}
	}
	nc, err := nats.Connect(serverOfVersion(t, "2.10.29"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), js, Defaults(), nil); !errors.Is(err, ErrOldServer) || !strings.Contains(err.Error(), "2.10.29") {
		t.Errorf("provisioning an old server: %v", err)
	}
}

// serverOfVersion listens as a server of that version and answers nothing but pings. It gives its address.
func serverOfVersion(t *testing.T, version string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "INFO {\"version\":%q,\"max_payload\":1048576}\r\n", version)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "PING") {
				fmt.Fprint(conn, "PONG\r\n")
			}
		}
	}()
	return "nats://" + listener.Addr().String()
}
