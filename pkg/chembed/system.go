package chembed

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/google/uuid"
)

// keepSystem has the engine keep the tables of its database `system`, such as the log of queries, from one start to the next.
//
// An engine that finds no definition of that database makes one in memory. The tables that it then stores there are known to
// nobody at the next start, and their folder keeps them from being made again: from the second start on there would be no log.
func keepSystem(store string) error {
	metadata := filepath.Join(store, "metadata")
	definition := filepath.Join(metadata, "system.sql")
	if kept, err := os.ReadFile(definition); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, removeTornTables(store, string(kept)))
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

var uuidOfDatabase = regexp.MustCompile(`UUID '([0-9a-f-]{36})'`)

// removeTornTables removes from the database `system` the definitions that a full disk cut short, which thus do not end with
// a line break: the engine does not start over one. The tables are logs of its own, and it makes them anew.
func removeTornTables(store, definition string) error {
	id := uuidOfDatabase.FindStringSubmatch(definition)
	if id == nil {
		return nil
	}
	tables, err := filepath.Glob(filepath.Join(store, "store", id[1][:3], id[1], "*.sql"))
	for _, table := range tables {
		content, readErr := os.ReadFile(table)
		err = errors.Join(err, readErr)
		if readErr == nil && !bytes.HasSuffix(content, []byte("\n")) {
			err = errors.Join(err, os.Remove(table))
		}
	}
	return err
}
