package cli

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bursarhq/bursar/services/page"
)

// TestPageLinkByATokenFile wants a link for a page that bursar-page serves, without any `bursar up`.
func TestPageLinkByATokenFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.token")
	if _, err := page.LoadOrCreateToken(file); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, address, want string
	}{
		{"at the default address", "", "http://127.0.0.1:8420"},
		{"behind a proxy", "https://bursar.example.com/", "https://bursar.example.com"},
	} {
		args := []string{"page", "--token-file", file, "--json"}
		if tt.address != "" {
			args = append(args, "--address", tt.address)
		}
		doc := document[pageDocument](t, bursar(t, nil, args...).stdout)
		if !strings.HasPrefix(doc.Link, tt.want+"/login#") || doc.ExpiresAt == nil || time.Until(*doc.ExpiresAt) > page.LinkLife {
			t.Errorf("%s: %+v, want a link at %s", tt.name, doc, tt.want)
		}
	}
	missing := bursar(t, nil, "page", "--token-file", file+".gone")
	if missing.status != ExitFailure || !strings.Contains(missing.stderr, "read the token of the page") {
		t.Errorf("a file that is not there: status %d, %s", missing.status, missing.stderr)
	}
}
