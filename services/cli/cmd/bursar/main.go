// Command bursar runs a Bursar and talks to one; see package cli.
package main

import (
	"context"
	"os"

	"github.com/bursarhq/bursar/pkg/chembed"
	"github.com/bursarhq/bursar/services/cli"
)

// version is set when a release is built.
var version = "development"

func main() {
	// The embedded ClickHouse is this program, started again: nothing may come before.
	chembed.MaybeRunChild()
	os.Exit(run())
}

func run() int {
	return cli.Run(context.Background(), cli.Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Version: version,
	})
}
