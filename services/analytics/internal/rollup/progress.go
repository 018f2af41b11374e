package rollup

import (
	"maps"
	"sync"
)

// Ledger names a ledger of a workspace.
type Ledger struct{ Workspace, ID string }

// Progress tells how far the ledgers are stored without a gap. It is safe for concurrent use; a nil Progress
// takes no notice.
type Progress struct {
	mu       sync.Mutex
	through  map[Ledger]uint64
	restarts uint64
}

// NewProgress returns a Progress that knows of no ledger.
func NewProgress() *Progress { return &Progress{through: map[Ledger]uint64{}} }

// Restart forgets everything: ClickHouse may be another one.
func (p *Progress) Restart() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restarts++
	clear(p.through)
}

// Stored notes that the commits of a ledger through a number are stored.
func (p *Progress) Stored(l Ledger, through uint64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.through[l] = through
}

// snapshot returns how far the ledgers are stored, and how often Restart was called.
func (p *Progress) snapshot() (through map[Ledger]uint64, restarts uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.through), p.restarts
}

// Workspaces returns the workspaces of which something is stored, and how often Restart was called.
func (p *Progress) Workspaces() (names []string, restarts uint64) {
	through, restarts := p.snapshot()
	seen := map[string]bool{}
	for ledger := range through {
		if !seen[ledger.Workspace] {
			seen[ledger.Workspace] = true
			names = append(names, ledger.Workspace)
		}
	}
	return names, restarts
}
