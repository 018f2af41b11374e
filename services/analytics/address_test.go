package analytics_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/services/analytics"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ server, file, password, want string }{
		{"http://h:8123", "", "p/w", "http://bursar_writer:p%2Fw@h:8123"},
		{"http://ann@h:8123/b", "", "pw", "http://ann:pw@h:8123/b"},
		{"http://ann@h:8123/b", file, "pw", "http://ann:from%20file@h:8123/b"},
		{"http://ann:own@h:8123", file, "pw", "http://ann:own@h:8123"},
	} {
		if got, err := analytics.Address(tt.server, tt.file, tt.password); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
	if _, err := analytics.Address("http://h", filepath.Join(t.TempDir(), "none"), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	if _, err := analytics.Address("http://ann:secret@h:80x", "", ""); !errors.Is(err, analytics.ErrClickHouse) || strings.Contains(err.Error(), "secret") {
		t.Errorf("no URL: %v", err)
	}
}
