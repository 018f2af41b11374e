// Package datadir is the directory of one `bursar up`: where its parts keep their data, who uses it now, and
// where it can be reached.
//
// It guarantees that two running systems of this machine never share a directory, that what names secrets is
// readable by its owner only, and that endpoints.json is whole whenever it is there. Callers must tolerate that
// endpoints.json outlives a system that was killed: [Dir.InUse] tells.
package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	dirMode  = 0o700
	fileMode = 0o600

	lockFile      = "bursar.lock"
	endpointsFile = "endpoints.json"
)

// EnvDir names the environment variable that holds the data directory.
const EnvDir = "BURSAR_DATA_DIR"

// ErrInUse: another running system uses the directory.
var ErrInUse = errors.New("the data directory is in use")

// Dir is a data directory.
type Dir string

// Default gives the directory that commands use when none is named: $BURSAR_DATA_DIR; else ./data where a system
// keeps its endpoints, as `make run` does; else the user's data directory.
func Default(getenv func(string) string) Dir {
	if named := getenv(EnvDir); named != "" {
		return Dir(named)
	}
	const local = Dir("data")
	if _, err := os.Stat(local.join(endpointsFile)); err == nil {
		return local
	}
	if data := getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return Dir(filepath.Join(data, "bursar"))
	}
	return Dir(filepath.Join(getenv("HOME"), ".local", "share", "bursar"))
}

// NATS is where the embedded NATS server keeps its streams.
func (d Dir) NATS() string { return d.join("nats") }

// ClickHouse is where the embedded ClickHouse keeps its tables.
func (d Dir) ClickHouse() string { return d.join("clickhouse") }

// Keys is where the seeds of the NATS users are.
func (d Dir) Keys() string { return d.join("keys") }

// PageToken is the file of the token that a login to the page takes.
func (d Dir) PageToken() string { return d.join("page.token") }

func (d Dir) join(name string) string { return filepath.Join(string(d), name) }

// Absolute is the path that holds from every working directory.
func (d Dir) Absolute() string {
	if path, err := filepath.Abs(string(d)); err == nil {
		return path
	}
	return string(d)
}

// Create makes the directory, readable by its owner only.
func (d Dir) Create() error {
	if err := os.MkdirAll(string(d), dirMode); err != nil {
		return fmt.Errorf("create the data directory: %w", err)
	}
	return nil
}

// Lock takes the directory for this process until it ends or release is called. A directory that a running
// system uses is [ErrInUse].
func (d Dir) Lock() (release func() error, err error) {
	if err := d.Create(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(d.join(lockFile), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	if err := lock(file); err != nil {
		holder, _ := os.ReadFile(d.join(lockFile)) // only makes the message better
		_ = file.Close()                           // nothing was written
		if !errors.Is(err, ErrInUse) {
			return nil, fmt.Errorf("lock the data directory: %w", err)
		}
		return nil, fmt.Errorf("%w: %s is used by process %s; stop that `bursar up`, or choose another --data-dir",
			ErrInUse, d, strings.TrimSpace(string(holder)))
	}
	if err := errors.Join(file.Truncate(0), writePID(file)); err != nil {
		return nil, errors.Join(fmt.Errorf("write the lock of the data directory: %w", err), file.Close())
	}
	return file.Close, nil
}

func writePID(file *os.File) error {
	_, err := file.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	return err
}

// Endpoints says where a running system is reached. It names files that hold secrets and no secret itself.
type Endpoints struct {
	NATS       string `json:"nats"`
	ClickHouse string `json:"clickhouse"`
	Metrics    string `json:"metrics"`
	Page       string `json:"page,omitzero"`       // absent where it is off
	PageToken  string `json:"page_token,omitzero"` // file of the token that its login takes; absent where none is demanded

	Workspace string    `json:"workspace"`
	Config    string    `json:"config,omitzero"` // file of the configuration that it was started with; absent for the built-in one
	Sync      string    `json:"sync,omitzero"`   // durability class of the embedded NATS server
	Keys      string    `json:"keys,omitzero"`   // directory of the seeds of the NATS users, <name>.nk
	Analyst   Login     `json:"analyst,omitzero"`
	Writer    Login     `json:"writer,omitzero"`
	PID       int       `json:"pid"`
	Started   time.Time `json:"started_at"`
	Version   string    `json:"version"`
}

// Login is a ClickHouse user and the file with its password.
type Login struct {
	User         string `json:"user,omitzero"`
	PasswordFile string `json:"password_file,omitzero"`
}

// WriteEndpoints replaces endpoints.json in one step.
func (d Dir) WriteEndpoints(e *Endpoints) error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the endpoints: %w", err)
	}
	draft := d.join("." + endpointsFile + ".new")
	if err := os.WriteFile(draft, append(data, '\n'), fileMode); err != nil {
		return fmt.Errorf("write the endpoints: %w", err)
	}
	if err := os.Rename(draft, d.join(endpointsFile)); err != nil {
		return fmt.Errorf("write the endpoints: %w", err)
	}
	return nil
}

// RemoveEndpoints says that the system is gone.
func (d Dir) RemoveEndpoints() error {
	if err := os.Remove(d.join(endpointsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the endpoints: %w", err)
	}
	return nil
}

// ReadEndpoints tells where the system of this directory is reached. Without one, the error is [fs.ErrNotExist].
func (d Dir) ReadEndpoints() (*Endpoints, error) {
	data, err := os.ReadFile(d.join(endpointsFile))
	if err != nil {
		return nil, fmt.Errorf("read the endpoints: %w", err)
	}
	var e Endpoints
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("read the endpoints: %s: %w", d.join(endpointsFile), err)
	}
	return &e, nil
}

// InUse tells whether a running system holds the directory.
func (d Dir) InUse() bool {
	file, err := os.Open(d.join(lockFile))
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(lock(file), ErrInUse)
}
