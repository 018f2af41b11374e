package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/service"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		want string
	}{
		{"help", []string{"-help"}, nil, service.ExitOK, "publish advice"},
		{"argument", []string{"now"}, nil, service.ExitUsage, `unexpected argument "now"`},
		{"no seed", nil, map[string]string{"BURSAR_KEYS": "/nonexistent"}, service.ExitFailure, "suggestion.nk"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := service.Main(spec(), row.args, &out, func(key string) string { return row.env[key] })
			if code != row.code || !strings.Contains(out.String(), row.want) {
				t.Errorf("exit %d, output %s; want %d and %q", code, out.String(), row.code, row.want)
			}
		})
	}
}
