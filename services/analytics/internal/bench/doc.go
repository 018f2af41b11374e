// Package bench measures what ClickHouse costs at scale: how fast rows go in by the path that the service takes, how many
// bytes one takes, and how long every documented query, and every question over NATS, takes.
//
// The rows that are asked are made by ClickHouse itself (INSERT SELECT from numbers), in the shape of the real ones: many
// workspaces whose commits lie between each other's, in parts that no merge has joined, which is what FINAL dislikes.
package bench
