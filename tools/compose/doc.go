// Package compose runs what docker-compose.yml describes without Docker: the very binaries, commands, environments,
// configuration files, secrets and health checks, as processes of this machine, on ports that are free.
//
// The tests are behind the build tag compose, and `make test-compose` builds what they run. Not tried are the images, the
// limits of a container (read-only file systems, capabilities, users) and the names that Docker's network resolves.
// ClickHouse is the embedded engine, with the same configuration files, on loopback.
package compose
