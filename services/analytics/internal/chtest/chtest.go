// Package chtest gives tests a real ClickHouse of their own.
package chtest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/bursarhq/bursar/pkg/chembed"
)

// Start starts a server that lives as long as the test. The package's TestMain must call
// chembed.MaybeRunChild.
func Start(t testing.TB) *chembed.Server {
	t.Helper()
	// What the server says of its own death must be in the output of the test that it broke.
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stopping ClickHouse: %v", err)
		}
	})
	return s
}

// Open connects as user, bound to no database.
func Open(t testing.TB, s *chembed.Server, user string) driver.Conn {
	t.Helper()
	opts, err := clickhouse.ParseDSN(s.DSN(user))
	if err != nil {
		t.Fatal(err)
	}
	opts.Auth.Database = ""
	conn, err := clickhouse.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Read runs a read, or a write that may be repeated, until it gets a whole answer. An engine that is started again while it answers cuts
// the answer off, which says nothing of what it has stored; a refusal by ClickHouse fails the test.
func Read(t testing.TB, read func(context.Context) error) {
	t.Helper()
	const attempts = 4
	for attempt := 1; ; attempt++ {
		err := read(t.Context())
		if err == nil {
			return
		}
		if exception := (*clickhouse.Exception)(nil); attempt == attempts || errors.As(err, &exception) {
			t.Fatal(err)
		}
		t.Logf("read %d of %d was cut off: %v", attempt, attempts, err)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
}
