package main

import (
	"path/filepath"
	"testing"
)

// TestBugsFitTheCode: whoever changes a line that a bug replaces learns it here, not when all bugs are run.
func TestBugsFitTheCode(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("bugs", "*.txt"))
	if err != nil || len(files) < 12 {
		t.Fatalf("%d bugs (%v)", len(files), err)
	}
	for _, file := range files {
		b, err := readBug(file)
		if err == nil {
			_, err = b.overlay(filepath.Join("..", ".."), t.TempDir())
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
