//go:build !linux && !darwin

package chembed

import (
	"errors"
	"os/exec"
)

// runEngine reports that the engine has no build for this platform.
func runEngine(string, []string) error {
	return errors.New("the embedded ClickHouse engine runs on linux and darwin only: name a server with --clickhouse-url")
}

func detach(*exec.Cmd) {}
