// Package schema brings the tables and views of Bursar into a ClickHouse server and keeps them there.
//
// Tables are made by migrations: numbered files that are applied once, in order, and never edited
// after a release; Migrate refuses to run where one was. Views hold no data, so they are simply
// replaced when their file has changed. What was applied stands in bursar.schema_migrations.
//
// Every statement may be run again without harm, so a crash between a statement and the note of it
// costs nothing, and two services that start at once do not disturb each other.
package schema

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Names of the databases.
const (
	// Database holds the tables.
	Database = "bursar"
	// AnalystDatabase holds the documented views, and nothing else.
	AnalystDatabase = "analyst"
)

// Errors of Migrate: the tables are not of this build, and nothing may be written into them.
var (
	// ErrEdited says that a migration that was applied to the server is not the one of the same number in this binary.
	ErrEdited = errors.New("ClickHouse has tables of another build, whose migration differs from this one's")
	// ErrNewer says that a migration was applied which this binary does not have: its rows would lack what the migration
	// added, and whoever has it would take them for whole.
	ErrNewer = errors.New("ClickHouse has tables of a newer build, whose migration this one does not have: run that build again, or a later one")
)

// cure is what an operator can do about both errors.
const cure = "or let analytics make the tables anew from the ledger: see Upgrading in docs/operating.md"

// Folders of the files.
const (
	migrations = "migrations"
	views      = "views"
)

//go:embed migrations views
var files embed.FS

// step is one file of statements.
type step struct {
	name       string
	checksum   string
	statements []string
	// view marks a file that is applied again when it changes.
	view bool
}

// Migrate creates the databases and brings them to the schema of this binary. The connection must
// not be bound to a database that does not exist yet.
func Migrate(ctx context.Context, conn driver.Conn) error {
	for _, statement := range bootstrap() {
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("creating the databases: %w", err)
		}
	}
	steps, err := steps()
	if err != nil {
		return err
	}
	applied, err := appliedSteps(ctx, conn)
	if err != nil {
		return err
	}
	if err := ours(steps, applied); err != nil {
		return err
	}
	for _, s := range steps {
		if applied[s.name] == s.checksum {
			continue
		}
		if err := apply(ctx, conn, s); err != nil {
			return err
		}
	}
	return nil
}

// ours tells whether every migration that was applied is one of these steps. Views may be others: they are replaced.
func ours(steps []step, applied map[string]string) error {
	known := make(map[string]string, len(steps))
	for _, s := range steps {
		known[s.name] = s.checksum
	}
	for _, name := range slices.Sorted(maps.Keys(applied)) {
		if !strings.HasPrefix(name, migrations+"/") {
			continue
		}
		switch checksum, ok := known[name]; {
		case !ok:
			return fmt.Errorf("%w; %s: %s", ErrNewer, cure, name)
		case checksum != applied[name]:
			return fmt.Errorf("%w: run the build that made them; %s: %s", ErrEdited, cure, name)
		}
	}
	return nil
}

func bootstrap() []string {
	return []string{
		"CREATE DATABASE IF NOT EXISTS " + Database + " ENGINE = Atomic",
		"CREATE DATABASE IF NOT EXISTS " + AnalystDatabase + " ENGINE = Atomic",
		`CREATE TABLE IF NOT EXISTS bursar.schema_migrations
(
    name       String               COMMENT 'File that was applied',
    checksum   String               COMMENT 'SHA-256 of the file, in hexadecimal digits',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree ORDER BY (name, applied_at)
COMMENT 'What was applied to the schema, and when; the latest row of a name counts'`,
	}
}

// apply runs the statements of a step and notes it.
func apply(ctx context.Context, conn driver.Conn, s step) error {
	for _, statement := range s.statements {
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("applying %s: %w", s.name, err)
		}
	}
	err := conn.Exec(ctx, "INSERT INTO bursar.schema_migrations (name, checksum) SELECT {name:String}, {checksum:String}",
		driver.NamedValue{Name: "name", Value: s.name}, driver.NamedValue{Name: "checksum", Value: s.checksum})
	if err != nil {
		return fmt.Errorf("noting that %s is applied: %w", s.name, err)
	}
	return nil
}

// appliedSteps returns the checksum of each file that was applied last.
func appliedSteps(ctx context.Context, conn driver.Conn) (map[string]string, error) {
	rows, err := conn.Query(ctx, "SELECT name, argMax(checksum, applied_at) FROM bursar.schema_migrations GROUP BY name")
	if err != nil {
		return nil, fmt.Errorf("reading the migrations that were applied: %w", err)
	}
	applied := map[string]string{}
	for rows.Next() {
		var name, checksum string
		if err := rows.Scan(&name, &checksum); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		applied[name] = checksum
	}
	return applied, errors.Join(rows.Err(), rows.Close())
}

// steps reads the files: migrations first, then views, each in the order of their names.
func steps() ([]step, error) {
	var all []step
	for _, dir := range []string{migrations, views} {
		entries, err := fs.ReadDir(files, dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			name := dir + "/" + entry.Name()
			content, err := fs.ReadFile(files, name)
			if err != nil {
				return nil, err
			}
			sum := sha256.Sum256(content)
			all = append(all, step{
				name:       name,
				checksum:   hex.EncodeToString(sum[:]),
				statements: split(string(content)),
				view:       dir == views,
			})
		}
	}
	return all, nil
}

// statementEnd is a semicolon at the end of a line.
var statementEnd = regexp.MustCompile(`;[ \t]*(\r?\n|$)`)

// split cuts a file into its statements.
func split(content string) []string {
	var statements []string
	for _, statement := range statementEnd.Split(content, -1) {
		if trimmed := strings.TrimSpace(statement); trimmed != "" {
			statements = append(statements, trimmed)
		}
	}
	return statements
}
