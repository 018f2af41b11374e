package statusline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// told is what was last handed in of an account from this machine.
type told struct {
	At      time.Time `json:"at"`
	Windows []sent    `json:"windows"`
}

type sent struct {
	Window  string `json:"window"`
	Percent int64  `json:"percent"` // whole
	Minute  int64  `json:"minute"`  // of the reset
}

// Memory keeps what was last handed in, so that a line that is drawn three times a second writes no commit each time. It
// is a help and no more: without it, or with one that is damaged, everything is handed in.
type Memory struct{ path string }

// MemoryOf is the memory of an account at a Bursar, in a folder that is made when it is written.
func MemoryOf(folder, bursar, account string) *Memory {
	sum := sha256.Sum256([]byte(bursar + "\x00" + account))
	return &Memory{filepath.Join(folder, hex.EncodeToString(sum[:8])+".json")}
}

// again is how long the same is not handed in again.
const again = time.Minute

// New tells whether a document has something that was not handed in within the last minute.
func (m *Memory) New(d *Document, now time.Time) bool {
	data, err := os.ReadFile(m.path)
	if err != nil {
		return true
	}
	var last told
	if json.Unmarshal(data, &last) != nil || now.Before(last.At) || now.Sub(last.At) >= again || len(last.Windows) != len(d.Windows) {
		return true
	}
	for i, w := range sentOf(d) {
		if w != last.Windows[i] {
			return true
		}
	}
	return false
}

// Keep remembers that a document was handed in. What goes wrong with it is of no consequence.
func (m *Memory) Keep(d *Document, now time.Time) {
	data, err := json.Marshal(told{now.UTC(), sentOf(d)})
	if err != nil || os.MkdirAll(filepath.Dir(m.path), 0o700) != nil {
		return
	}
	temporary, err := os.CreateTemp(filepath.Dir(m.path), "new-*")
	if err != nil {
		return
	}
	_, writeErr := temporary.Write(data)
	if temporary.Close() != nil || writeErr != nil || os.Rename(temporary.Name(), m.path) != nil {
		_ = os.Remove(temporary.Name()) // nothing more can be done
	}
}

func sentOf(d *Document) []sent {
	list := make([]sent, len(d.Windows))
	for i := range d.Windows {
		w := &d.Windows[i]
		list[i] = sent{w.Name, w.PercentMilli / 1000, w.ResetAt.Unix() / 60}
	}
	return list
}
