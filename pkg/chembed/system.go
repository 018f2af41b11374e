package chembed

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// keepSystem has the engine keep the tables of its database `system`, such as the log of queries, from one start to the next.
//
// An engine that finds no definition of that database makes one in memory. The tables that it then stores there are known to
// nobody at the next start, and their folder keeps them from being made again: from the second start on there would be no log.
func keepSystem(store string) error {
	metadata := filepath.Join(store, "metadata")
	definition := filepath.Join(metadata, "system.sql")
	if _, err := os.Stat(definition); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(metadata, 0o700); err != nil {
		return err
	}
	// 1. What a start without a definition left, no engine can read.
	if err := os.RemoveAll(filepath.Join(store, "data", "system")); err != nil {
		return err
	}
	// 2. The definition is there as a whole or not at all: a part of it would keep the engine from starting.
	draft := definition + ".draft"
	if err := os.WriteFile(draft, []byte("ATTACH DATABASE _ UUID '"+uuid.NewString()+"'\nENGINE = Atomic\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, definition)
}
