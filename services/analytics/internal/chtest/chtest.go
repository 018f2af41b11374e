// Package chtest gives tests a real ClickHouse of their own.
package chtest

import (
	"context"
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
	s, err := chembed.Start(t.Context(), chembed.Options{Dir: t.TempDir()})
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
