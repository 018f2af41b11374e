package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/service"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	open := filepath.Join(t.TempDir(), "open.token")
	if err := os.WriteFile(open, []byte("0123456789012345678901234567890123456789\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		want string
	}{
		{"help", []string{"-help"}, nil, service.ExitOK, "Show a workspace"},
		{"argument", []string{"now"}, nil, service.ExitUsage, `unexpected argument "now"`},
		{"not an address", []string{"-listen", "8420"}, nil, service.ExitFailure, "is not a host and a port"},
		{"a bad workspace", []string{"-workspace", ""}, map[string]string{"BURSAR_WORKSPACE": ""}, service.ExitFailure, "needs a workspace"},
		{"others reach it and no token", []string{"-listen", "0.0.0.0:0"}, nil, service.ExitFailure, "-token-file FILE"},
		{"the same by the environment", nil, map[string]string{"BURSAR_PAGE_LISTEN": ":0"}, service.ExitFailure, "-token-file FILE"},
		{"a token that others read", []string{"-listen", "127.0.0.1:0", "-token-file", open}, nil, service.ExitFailure, "unusable token file"},
		{"no seed", []string{"-listen", "127.0.0.1:0"}, map[string]string{"BURSAR_KEYS": "/nonexistent"}, service.ExitFailure, "viewer.nk"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := service.Main(spec(), row.args, &out, func(key string) string { return row.env[key] })
			if code != row.code || !strings.Contains(strings.ReplaceAll(out.String(), `\"`, `"`), row.want) {
				t.Errorf("exit %d, output %s; want %d and %q", code, out.String(), row.code, row.want)
			}
		})
	}
}
