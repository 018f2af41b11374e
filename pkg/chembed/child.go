package chembed

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// envChild marks a process as the child that hosts the engine. Its value is a childSpec as JSON. It
// is an environment variable and not an argument, because any binary, a test binary too, must be
// able to carry it past its own flags.
const envChild = "BURSAR_CHEMBED_CHILD"

// childSpec tells the child what to run.
type childSpec struct {
	// Library is the absolute path of the engine's shared library.
	Library string `json:"library"`
	// Dir is the absolute path of the data directory, which is the working directory too: the engine
	// reads config.xml from there.
	Dir string `json:"dir"`
}

// Names of files in the data directory.
const (
	configFile = "config.xml"
	storeDir   = "store"
	readyFile  = "ready.tsv"
)

// MaybeRunChild hosts the engine and never returns if this process was started by Start to do so;
// otherwise it returns at once. Call it first in main and in TestMain, before flags are parsed.
func MaybeRunChild() {
	raw, ok := os.LookupEnv(envChild)
	if !ok {
		return
	}
	var spec childSpec
	if err := json.Unmarshal([]byte(raw), &spec); err != nil {
		fmt.Fprintf(os.Stderr, "reading %s: %v\n", envChild, err)
		os.Exit(2)
	}
	if err := runEngine(spec.Library, spec.arguments()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// arguments returns the engine's command line. Its statements run in order: listen on a free port,
// tell the port through the ready file (the engine holds back its output to the end), then read
// standard input, which blocks until the parent closes the pipe or dies.
func (s childSpec) arguments() []string {
	query := strings.Join([]string{
		"SYSTEM START LISTEN HTTP",
		"SELECT getServerPort('http_port') INTO OUTFILE " + sqlString(filepath.Join(s.Dir, readyFile)) + " TRUNCATE FORMAT TSV",
		"SELECT count() FROM file('-', 'LineAsString', 'line String')",
	}, ";\n")
	return []string{
		"clickhouse",
		"--path", filepath.Join(s.Dir, storeDir),
		"--listen_host", loopback,
		"--http_port", "0",
		"--config-file", filepath.Join(s.Dir, configFile),
		"--log-level", "warning", // the one in the configuration file is not heeded
		"--query", query,
	}
}

// sqlString quotes s as a ClickHouse string literal.
func sqlString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
