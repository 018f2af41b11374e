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
	"regexp"
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

// ErrEdited is returned by Migrate when a migration that was applied to the server is not the one of
// the same number in this binary: one of the two is not from a release.
var ErrEdited = errors.New("a migration was edited after it had been applied")

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
	for _, s := range steps {
		checksum, done := applied[s.name]
		switch {
		case done && checksum == s.checksum:
			continue
		case done && !s.view:
			return fmt.Errorf("%w: %s", ErrEdited, s.name)
		}
		if err := apply(ctx, conn, s); err != nil {
			return err
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
	for _, dir := range []string{"migrations", "views"} {
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
				view:       dir == "views",
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
