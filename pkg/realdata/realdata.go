// Package realdata finds the folder of real traces that the tests with the build tag testdata read.
//
// The traces are not part of the repository. `make test-data` runs those tests; BURSAR_TEST_DATA names
// the folder, and without it the folder shared/data beside the checkout is taken. A test never skips
// for want of data: it fails and says what to set.
package realdata

import (
	"os"
	"path/filepath"
	"testing"
)

// EnvVar is the environment variable that names the folder.
const EnvVar = "BURSAR_TEST_DATA"

// besideCheckout is where the folder lies by default, seen from the folder of go.work.
const besideCheckout = "../shared/data"

// Path returns the path of a file or folder under the folder of real traces, for instance
// Path(t, "traces", "azure"). It fails the test when that is not there.
func Path(t testing.TB, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{folder(t)}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("real traces: %v; set %s to the folder that holds them", err, EnvVar)
	}
	return path
}

func folder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(EnvVar); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return filepath.Join(dir, besideCheckout)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatalf("no go.work above %s; set %s to the folder of real traces", dir, EnvVar)
		}
		dir = parent
	}
}
