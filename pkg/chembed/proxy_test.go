package chembed

import (
	"encoding/xml"
	"testing"
	"time"
)

// TestTheProxyLetsGoFirst of an idle connection to the engine, since a request that meets the engine's closing it is lost.
func TestTheProxyLetsGoFirst(t *testing.T) {
	t.Parallel()
	raw, err := files.ReadFile("files/config.xml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		KeepAlive int `xml:"keep_alive_timeout"`
	}
	if err := xml.Unmarshal(raw, &config); err != nil {
		t.Fatal(err)
	}
	if kept := time.Duration(config.KeepAlive) * time.Second; kept < 2*idleTimeout {
		t.Errorf("the engine keeps a connection for %s, the proxy for %s", kept, idleTimeout)
	}
}
