package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestASecondSystemIsRefused(t *testing.T) {
	t.Parallel()
	dir := Dir(filepath.Join(t.TempDir(), "new"))
	if dir.InUse() {
		t.Error("a directory that is not there is in use")
	}
	release, err := dir.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if !dir.InUse() {
		t.Error("the locked directory is not in use")
	}
	_, err = dir.Lock()
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("error %v, want %v with the process's id", err, ErrInUse)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if dir.InUse() {
		t.Error("the released directory is in use")
	}
	again, err := dir.Lock()
	if err != nil {
		t.Fatalf("lock again: %v", err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	if _, err := dir.ReadEndpoints(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that there are none", err)
	}
	want := Endpoints{NATS: "nats://127.0.0.1:4222", PID: 7, Started: time.Unix(1, 0).UTC(), Analyst: Login{"a", "f"}}
	if err := dir.WriteEndpoints(&want); err != nil {
		t.Fatal(err)
	}
	got, err := dir.ReadEndpoints()
	if err != nil || *got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	info, err := os.Stat(dir.join(endpointsFile))
	if err != nil || info.Mode().Perm() != fileMode {
		t.Errorf("mode %v, error %v; want %o", info.Mode(), err, fileMode)
	}
	for range 2 {
		if err := dir.RemoveEndpoints(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(dir.join(endpointsFile), []byte("{"), fileMode); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.ReadEndpoints(); err == nil || !strings.Contains(err.Error(), endpointsFile) {
		t.Errorf("error %v, want one that names the file", err)
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want Dir
	}{
		{"named", map[string]string{EnvDir: "/a", "HOME": "/h"}, "/a"},
		{"xdg", map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/h"}, "/x/bursar"},
		{"home", map[string]string{"HOME": "/h", "XDG_DATA_HOME": "relative"}, "/h/.local/share/bursar"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Default(func(name string) string { return tt.env[name] }); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
