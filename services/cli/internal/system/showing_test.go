package system

import (
	"net"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/services/page"
)

// TestListenForPage wants a second Bursar on a machine to show its page at another port, unless it was told which.
func TestListenForPage(t *testing.T) {
	t.Parallel()
	if other, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", page.DefaultAddress); err == nil {
		defer other.Close() // else somebody else has it, which is as good
	}
	listener, err := (&system{}).listenForPage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	if taken == page.DefaultAddress || !page.Loopback(taken) {
		t.Errorf("the page is at %s, want a free port of this machine", taken)
	}
	second, err := (&system{cfg: Config{PageListen: taken}}).listenForPage(t.Context())
	if err == nil {
		_ = second.Close()
		t.Fatalf("%s was taken twice", taken)
	}
	if want := "--page-listen 127.0.0.1:0"; !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
}
