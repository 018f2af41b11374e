package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the top of the checkout, seen from this folder.
const root = "../.."

// tracked lists the files of the repository that git knows or would take, relative to root.
func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var files []string
	for _, name := range strings.Fields(string(out)) {
		// A file that is deleted and not yet committed is listed, and not there.
		if info, err := os.Lstat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	return files
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestNothingNamesThisMachine keeps out what works only where it was written: folders of one machine
// and the hosts of package registries, which everyone may configure for themselves.
func TestNothingNamesThisMachine(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		"a folder of one machine": regexp.MustCompile(`(^|[\s"'=:(])/(work|root|home|tmp)/\w`),
		"a registry host":         regexp.MustCompile(`(proxy|sum)\.golang\.org|registry\.npmjs|registry\.yarnpkg|deb\.debian\.org`),
	}
	for _, name := range tracked(t) {
		for number, line := range strings.Split(read(t, name), "\n") {
			for what, pattern := range forbidden {
				if found := pattern.FindString(line); found != "" {
					t.Errorf("%s:%d names %s: %q", name, number+1, what, found)
				}
			}
		}
	}
}

// maxFileSize keeps built and fetched things out of the repository.
const maxFileSize = 1 << 20

func TestNoLargeFiles(t *testing.T) {
	t.Parallel()
	for _, name := range tracked(t) {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxFileSize {
			t.Errorf("%s has %d bytes, more than %d: built or fetched files do not belong here", name, info.Size(), maxFileSize)
		}
	}
}

// strict maps the first line of a shell script to the line that makes it stop at the first fault.
var strict = map[string]string{
	"#!/usr/bin/env bash": "set -euo pipefail",
	"#!/bin/sh":           "set -eu",
}

// early finds a command that may stop reading a pipe before its end. Under pipefail the writer then dies of
// SIGPIPE, now and then, and the script with it.
var early = regexp.MustCompile(`\|\s*(head|grep -[a-zA-Z]*[qm])\b`)

// TestScriptsAreSafe asks every shell script to stop at the first fault, to read pipes to their ends, to parse and
// to be executable.
func TestScriptsAreSafe(t *testing.T) {
	t.Parallel()
	scripts := 0
	for _, name := range tracked(t) {
		text := read(t, name)
		first, _, _ := strings.Cut(text, "\n")
		if !strings.HasPrefix(first, "#!") || !strings.HasSuffix(first, "sh") {
			continue
		}
		scripts++
		if set, ok := strict[first]; !ok {
			t.Errorf("%s begins with %s, not with #!/usr/bin/env bash or #!/bin/sh", name, first)
		} else if !strings.Contains(text, "\n"+set+"\n") {
			t.Errorf("%s lacks %s", name, set)
		}
		if pipe := early.FindString(text); pipe != "" {
			t.Errorf("%s has %q, which may close a pipe while it is written to: read the pipe to its end", name, pipe)
		}
		shell := first[strings.LastIndexAny(first, "/ ")+1:]
		if out, err := exec.CommandContext(t.Context(), shell, "-n", filepath.Join(root, name)).CombinedOutput(); err != nil {
			t.Errorf("%s does not parse: %v\n%s", name, err, out)
		}
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", name)
		}
	}
	if scripts == 0 {
		t.Error("no script was found: the test looks in the wrong place")
	}
}
