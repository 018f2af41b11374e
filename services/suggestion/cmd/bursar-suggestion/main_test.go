package main

import (
	"bytes"
	"strings"
	"testing"
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
		{"help", []string{"-help"}, nil, 0, "$BURSAR_SERVER"},
		{"unknown flag", []string{"-serve"}, nil, exitUsage, "not defined"},
		{"argument", []string{"now"}, nil, exitUsage, `unexpected argument "now"`},
		{"log level", []string{"-log-level", "loud"}, nil, exitUsage, "loud"},
		{"address in use or wrong", []string{"-metrics", "nowhere"}, nil, 1, "listen for metrics"},
		{"no server", nil, nil, 1, "no server to connect to"},
		{"bad seed file", nil, map[string]string{"BURSAR_SERVER": "nats://127.0.0.1:1", "BURSAR_NKEY": "/nonexistent"}, 1, "nonexistent"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := run(row.args, &out, func(key string) string { return row.env[key] })
			if code != row.code || !strings.Contains(out.String(), row.want) {
				t.Errorf("exit %d, output %s; want %d and %q", code, out.String(), row.code, row.want)
			}
		})
	}
}
