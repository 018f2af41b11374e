package learn

import "github.com/bursarhq/bursar/pkg/quota"

// Key says which tasks are alike. An empty part at the end leaves it out; [Key.levels] lists the coarser ones.
type Key struct {
	TaskType   string `cbor:"1,keyasint,omitempty"`
	Complexity string `cbor:"2,keyasint,omitempty"`
	Model      string `cbor:"3,keyasint,omitempty"`
	Agent      string `cbor:"4,keyasint,omitempty"`
	Files      string `cbor:"5,keyasint,omitempty"` // a range, see FilesRange
	Level      int    `cbor:"6,keyasint,omitempty"` // how many of the parts count; 0 is the scale over all types
}

// Levels is how many levels there are below the scale: each adds one part of a key.
const Levels = 5

// KeyOf gives the finest key of a reservation's work; files is 0 where nobody said.
func KeyOf(l *quota.Labels, files int64) Key {
	return Key{TaskType: l.TaskType, Complexity: l.Complexity, Model: l.Model, Agent: l.Agent, Files: FilesRange(files), Level: Levels}
}

// at gives the key's ancestor of a level.
func (k Key) at(level int) Key {
	parts := []*string{&k.TaskType, &k.Complexity, &k.Model, &k.Agent, &k.Files}
	for _, part := range parts[level:] {
		*part = ""
	}
	k.Level = level
	return k
}

// levels lists the key and its ancestors, coarse first; the scale is not among them.
func (k Key) levels() []Key {
	list := make([]Key, Levels)
	for i := range list {
		list[i] = k.at(i + 1)
	}
	return list
}

// FilesRange names the range that a number of files lies in; empty for 0 and below, which nobody said.
func FilesRange(files int64) string {
	for _, r := range []struct {
		most int64
		name string
	}{{0, ""}, {1, "1"}, {5, "2-5"}, {10, "6-10"}, {20, "11-20"}, {50, "21-50"}} {
		if files <= r.most {
			return r.name
		}
	}
	return "51+"
}
