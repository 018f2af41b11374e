package realdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestPathComesFromTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(EnvVar, dir)
	if err := os.WriteFile(filepath.Join(dir, "trace.csv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := Path(t, "trace.csv"), filepath.Join(dir, "trace.csv"); got != want {
		t.Errorf("path %s, want %s", got, want)
	}
}

func TestFolderLiesBesideTheCheckout(t *testing.T) {
	t.Setenv(EnvVar, "")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := folder(t), filepath.Join(filepath.Dir(root), "shared", "data"); got != want {
		t.Errorf("folder %s, want %s", got, want)
	}
}

// fatal records that a test would have failed.
type fatal struct {
	testing.TB
	failed bool
}

func (f *fatal) Helper() {}

func (f *fatal) Fatalf(string, ...any) {
	f.failed = true
	runtime.Goexit()
}

func TestMissingDataFailsTheTest(t *testing.T) {
	t.Setenv(EnvVar, t.TempDir())
	f := &fatal{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Path(f, "nothing")
	}()
	<-done
	if !f.failed {
		t.Error("a test without its data goes on")
	}
}
