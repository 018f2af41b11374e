package schema

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Names that the statements for a cluster use; the last two are macros of each server.
const (
	clusterName  = "bursar"
	localSuffix  = "_local"
	keeperPath   = "/clickhouse/tables/{shard}/bursar/"
	replicaMacro = "{replica}"
)

// shardingKey says to which shard a row goes: a ledger is whole on one, so that FINAL and the identity of rows need no
// other. What is not of a workspace goes to one shard.
func shardingKey(create string) string {
	if strings.Contains(create, "`workspace`") {
		return "sipHash64(workspace)"
	}
	return "0"
}

var (
	tableName  = regexp.MustCompile(`^CREATE TABLE bursar\.(\w+)\n`)
	engineLine = regexp.MustCompile(`(?m)^ENGINE = (\w*MergeTree)(?:\((.*)\))?$`)
	settings   = regexp.MustCompile(`(?m)\nSETTINGS index_granularity = 8192`)
)

// Cluster returns the statements that make the tables of this schema on a cluster, from what a migrated server says its
// tables are: of each table a replicated one on every server, and a distributed one by the table's name over them. They end
// with a note that the migrations are applied, so that the service makes no more than the views.
func Cluster(ctx context.Context, conn driver.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT formatQuery(create_table_query) FROM system.tables WHERE database = 'bursar' ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("reading the tables: %w", err)
	}
	statements := []string{
		"CREATE DATABASE IF NOT EXISTS bursar ON CLUSTER " + clusterName,
		"CREATE DATABASE IF NOT EXISTS analyst ON CLUSTER " + clusterName,
	}
	for rows.Next() {
		var create string
		if err := rows.Scan(&create); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		pair, err := onCluster(create)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		statements = append(statements, pair...)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	notes, err := appliedNotes()
	return append(statements, notes), err
}

// appliedNotes returns the statement that notes every migration as applied.
func appliedNotes() (string, error) {
	all, err := steps()
	if err != nil {
		return "", err
	}
	var values []string
	for _, s := range all {
		if !s.view {
			values = append(values, "('"+s.name+"', '"+s.checksum+"')")
		}
	}
	return "INSERT INTO bursar.schema_migrations (name, checksum) VALUES\n    " + strings.Join(values, ",\n    "), nil
}

// onCluster turns the CREATE of a table into those of a cluster.
func onCluster(create string) ([]string, error) {
	named := tableName.FindStringSubmatch(create)
	engine := engineLine.FindStringSubmatch(create)
	if named == nil || engine == nil {
		return nil, fmt.Errorf("no table of a kind that is known: %.80s", create)
	}
	name := named[1]
	arguments := "'" + keeperPath + name + "', '" + replicaMacro + "'"
	if engine[2] != "" {
		arguments += ", " + engine[2]
	}
	local := tableName.ReplaceAllString(create, "CREATE TABLE IF NOT EXISTS bursar."+name+localSuffix+" ON CLUSTER "+clusterName+"\n")
	local = engineLine.ReplaceAllString(local, "ENGINE = Replicated"+engine[1]+"("+arguments+")")
	return []string{
		settings.ReplaceAllString(local, ""),
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS bursar.%s ON CLUSTER %s AS bursar.%s%s\nENGINE = Distributed('%s', 'bursar', '%s%s', %s)",
			name, clusterName, name, localSuffix, clusterName, name, localSuffix, shardingKey(create)),
	}, nil
}
