package chembed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Version is the release of the engine that this package is tested with. The installer reads the
// same number from deployments/chdb/package.json; a test keeps the two equal.
const Version = "26.7.3-stable.1"

// EnvLibrary names the environment variable that holds the path of the engine's shared library, and
// overrides every other place where it is looked for.
const EnvLibrary = "BURSAR_CHDB_LIB"

// ErrNoLibrary is returned by FindLibrary, and by Start, when the engine is not installed.
var ErrNoLibrary = errors.New("the embedded ClickHouse engine is not installed")

// libraryName is the file name of the engine; the npm packages call it .so on every platform.
const libraryName = "libchdb.so"

// FindLibrary returns the path of the engine's shared library. It looks at EnvLibrary, then in the
// user's cache directory (bursar/chdb/<Version>/), then in .cache/chdb of the working directory and
// of the directories above it. The error wraps ErrNoLibrary and says what to type.
func FindLibrary() (string, error) {
	if path := os.Getenv(EnvLibrary); path != "" {
		if err := isFile(path); err != nil {
			return "", fmt.Errorf("%w: %s: %w", ErrNoLibrary, EnvLibrary, err)
		}
		return path, nil
	}
	candidates := libraryCandidates()
	for _, path := range candidates {
		if isFile(path) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w for %s/%s: run scripts/install-clickhouse.sh (or make setup), set %s to a %s, "+
		"or name a server with --clickhouse-url; looked in %s",
		ErrNoLibrary, runtime.GOOS, runtime.GOARCH, EnvLibrary, libraryName, strings.Join(candidates, ", "))
}

// libraryCandidates lists the places where the installer puts the engine, best first.
func libraryCandidates() []string {
	var paths []string
	if cache, err := os.UserCacheDir(); err == nil {
		paths = append(paths, filepath.Join(cache, "bursar", "chdb", Version, libraryName))
	}
	dir, err := os.Getwd()
	for err == nil {
		paths = append(paths, filepath.Join(dir, ".cache", "chdb", libraryName))
		parent := filepath.Dir(dir)
		if parent == dir || isFile(filepath.Join(dir, "go.work")) == nil {
			break
		}
		dir = parent
	}
	return paths
}

// isFile returns nil if path is a regular file, or the reason why it is not.
func isFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return nil
}
