package importer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Source is a program whose session logs can be read.
type Source struct {
	// Name is the program's name on the command line.
	Name string
	// Provider is whose calls its logs tell.
	Provider  string
	newReader func(file string, kept readerState) reader
	folders   func(getenv func(string) string, home string) []string
}

// Sources lists the programs.
func Sources() []Source {
	return []Source{
		{Name: "claude-code", Provider: "claude", newReader: newClaudeCode, folders: claudeFolders},
		{Name: "codex", Provider: "openai", newReader: newCodex, folders: codexFolders},
	}
}

// Folders lists where the program keeps its logs by default, those that exist.
func (s *Source) Folders(getenv func(string) string) ([]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	wanted := s.folders(getenv, home)
	var found []string
	for _, folder := range wanted {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			found = append(found, folder)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there are no logs of %s in %s; name the folder", s.Name, strings.Join(wanted, " or "))
	}
	return found, nil
}

func claudeFolders(getenv func(string) string, home string) []string {
	if configured := getenv("CLAUDE_CONFIG_DIR"); configured != "" {
		var folders []string
		for _, folder := range strings.Split(configured, ",") {
			folders = append(folders, filepath.Join(strings.TrimSpace(folder), "projects"))
		}
		return folders
	}
	return []string{filepath.Join(home, ".claude", "projects"), filepath.Join(home, ".config", "claude", "projects")}
}

// codexFolders names where sessions are and where they are moved to: the calls of both have the same ids.
func codexFolders(getenv func(string) string, home string) []string {
	root := cmp.Or(getenv("CODEX_HOME"), filepath.Join(home, ".codex"))
	return []string{filepath.Join(root, "sessions"), filepath.Join(root, "archived_sessions")}
}

// logFile is a log on disk.
type logFile struct {
	path     string
	size     int64
	modified time.Time
}

// find lists the logs in files and folders, the oldest first, so that the original of a copied history is read before
// the copy.
func find(places []string) ([]logFile, error) {
	var files []logFile
	for _, named := range places {
		place, err := filepath.EvalSymlinks(named) // a folder of logs may be kept elsewhere
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s: name a file or folder that is there", named)
		}
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist) && path != place: // removed while we looked
				return nil
			case err != nil:
				return err
			case !entry.Type().IsRegular() || path != place && filepath.Ext(path) != ".jsonl":
				return nil
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			absolute, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			files = append(files, logFile{absolute, info.Size(), info.ModTime()})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(files, func(a, b logFile) int {
		return cmp.Or(a.modified.Compare(b.modified), strings.Compare(a.path, b.path))
	})
	return slices.CompactFunc(files, func(a, b logFile) bool { return a.path == b.path }), nil
}
