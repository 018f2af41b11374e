// Command mutants seeds known bugs, each alone, and sees that the tests find each.
//
// Each file in bugs/ is one bug: what it is, where it goes, and the command that must fail because of it. The bug is
// put into a copy of the file, which the go command is given by -overlay; the tree is never changed. A bug that does
// not fit the code any more, or does not compile, is an error: it proves nothing.
//
//	go run ./mutants            # all
//	go run ./mutants -only cas  # those whose name contains "cas"
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// timeLimit is how long one command may take; a bug that makes a test hang is found as well.
const timeLimit = 5 * time.Minute

// maxFinding is how much of a finding is printed, in bytes.
const maxFinding = 110

func main() { os.Exit(run(os.Stdout)) }

func run(out io.Writer) int {
	root := flag.String("root", "..", "the repository")
	only := flag.String("only", "", "run only bugs whose name contains this")
	flag.Parse()
	files, err := filepath.Glob(filepath.Join("mutants", "bugs", "*.txt"))
	if err != nil || len(files) == 0 {
		fmt.Fprintln(os.Stderr, "no bugs found; run this in the tools directory")
		return 2
	}
	var results []chan result
	at := make(chan struct{}, runtime.NumCPU()) // compiling a bug takes one processor most of the time
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if !strings.Contains(name, *only) {
			continue
		}
		told := make(chan result, 1)
		results = append(results, told)
		go func() {
			at <- struct{}{}
			defer func() { <-at }()
			told <- try(*root, name, file)
		}()
	}
	killed := 0
	fmt.Fprintf(out, "%-30s %-8s %7s  %s\n", "bug", "verdict", "seconds", "found by")
	for _, told := range results {
		r := <-told
		verdict := "survived"
		switch {
		case r.err != nil:
			verdict = "error"
		case r.found != "":
			killed++
			verdict = "killed"
		}
		fmt.Fprintf(out, "%-30s %-8s %7.1f  %s\n", r.name, verdict, r.took.Seconds(), r.found)
		if r.err != nil {
			fmt.Fprintf(out, "    %v\n", r.err)
		}
	}
	fmt.Fprintf(out, "%d of %d bugs killed\n", killed, len(results))
	if killed < len(results) {
		return 1
	}
	return 0
}

// result is what became of a bug.
type result struct {
	name  string
	found string // by what; empty where it survived
	err   error
	took  time.Duration
}

// try seeds the bug of a file.
func try(root, name, file string) result {
	began := time.Now()
	r := result{name: name}
	b, err := readBug(file)
	if err == nil {
		r.found, err = b.seed(root)
	}
	r.err, r.took = err, time.Since(began)
	return r
}

// mutant is one file of bugs/.
type mutant struct {
	module  string // where the command runs
	command string
	edits   []edit
}

// edit replaces a text that occurs once in a file.
type edit struct{ file, old, new string }

// readBug reads a bug. Lines before the first "file:" that begin with "in:" and "run:" give the module and the command,
// the others say what the bug is. Then, once or more: "file: path", "<<<", the old text, "===", the new text, ">>>".
func readBug(path string) (mutant, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return mutant{}, err
	}
	var b mutant
	var e edit
	var into *string
	for line := range strings.Lines(string(raw)) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case text == "<<<":
			into = &e.old
		case text == "===" && into != nil:
			into = &e.new
		case text == ">>>" && into != nil:
			b.edits, into = append(b.edits, e), nil
			e = edit{file: e.file}
		case into != nil:
			*into += line
		default:
			if value, ok := strings.CutPrefix(text, "in: "); ok {
				b.module = value
			} else if value, ok := strings.CutPrefix(text, "run: "); ok {
				b.command = value
			} else if value, ok := strings.CutPrefix(text, "file: "); ok {
				e.file = value
			}
		}
	}
	if b.module == "" || b.command == "" || len(b.edits) == 0 || into != nil {
		return b, fmt.Errorf("%s: not a bug: it needs in, run, and edits", path)
	}
	return b, nil
}

// seed compiles the bug and runs its command. It gives the first line that tells what was found, empty when the bug
// survived.
func (b *mutant) seed(root string) (found string, err error) {
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := b.overlay(root, dir)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	out, err := goCommand(ctx, filepath.Join(root, b.module), overlay, b.command)
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "the time limit", nil
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "seed ") || strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "panic: ") {
			return strings.ToValidUTF8(line[:min(len(line), maxFinding)], ""), nil
		}
	}
	return "", fmt.Errorf("no test failed, does it compile?: %w:\n%s", err, out)
}

// overlay writes the files with the bug in them and the list that the go command reads.
func (b *mutant) overlay(root, dir string) (string, error) {
	replaced := map[string]string{} // copy by original
	for i, e := range b.edits {
		original, err := filepath.Abs(filepath.Join(root, e.file))
		if err != nil {
			return "", err
		}
		from := original
		if seen, ok := replaced[original]; ok {
			from = seen
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			return "", fmt.Errorf("%s: the text to replace occurs %d times; the code has changed, so change the bug:\n%s", e.file, n, e.old)
		}
		replaced[original] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(replaced[original], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

// goCommand runs "go verb -overlay … rest".
func goCommand(ctx context.Context, dir, overlay, command string) (string, error) {
	words := strings.Fields(command)
	args := []string{words[0], "-overlay", overlay}
	if words[0] == "test" {
		args = append(args, "-failfast") // one that fails is enough
	}
	args = append(args, words[1:]...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=") // the workspace of the repository, also when this tool runs without one
	out, err := cmd.CombinedOutput()
	return string(out), err
}
