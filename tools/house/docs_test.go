package house

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence = regexp.MustCompile("(?ms)^```.*?^```")
)

// TestLinksLeadSomewhere follows every relative link of every document.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, name := range tracked(t) {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, match := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, name), ""), -1) {
			target, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: link %q: %v", name, match[1], err)
				continue
			}
			if target.IsAbs() || target.Path == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, path.Dir(name), target.Path)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target.Path)
			}
		}
	}
}

// TestDecisionsAreListed wants every decision in the index, with a number of its own.
func TestDecisionsAreListed(t *testing.T) {
	t.Parallel()
	index := read(t, "docs/decisions/README.md")
	numbered := regexp.MustCompile(`^(\d{4})-[a-z0-9-]+\.md$`)
	seen := map[string]string{}
	for _, name := range tracked(t) {
		dir, base := path.Split(name)
		if dir != "docs/decisions/" || base == "README.md" {
			continue
		}
		match := numbered.FindStringSubmatch(base)
		if match == nil {
			t.Errorf("%s is not called NNNN-title.md", name)
			continue
		}
		if other := seen[match[1]]; other != "" {
			t.Errorf("%s and %s have the same number", name, other)
		}
		seen[match[1]] = name
		if !strings.Contains(index, "("+base+")") {
			t.Errorf("docs/decisions/README.md does not list %s", base)
		}
	}
}
