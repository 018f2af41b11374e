package natsembed

import (
	"fmt"
	"time"
)

// Sync is a durability class: when the server forces what it acknowledged onto the disk.
type Sync string

// The durability classes.
const (
	// SyncAlways syncs before every acknowledgement: a power cut loses nothing acknowledged.
	SyncAlways Sync = "always"
	// SyncSecond syncs every second: a power cut loses up to the last second.
	SyncSecond Sync = "1s"
	// SyncTwoMinutes syncs every two minutes, NATS's own default: a power cut may lose everything
	// since, a stream made since included. A crash of the process alone loses nothing in any class.
	SyncTwoMinutes Sync = "2m"
)

// ParseSync reads a durability class as written in flags and configuration.
func ParseSync(s string) (Sync, error) {
	switch sync := Sync(s); sync {
	case SyncAlways, SyncSecond, SyncTwoMinutes:
		return sync, nil
	}
	return "", fmt.Errorf("sync %q is not one of %s, %s, %s", s, SyncAlways, SyncSecond, SyncTwoMinutes)
}

func (s Sync) interval() time.Duration {
	if s == SyncSecond {
		return time.Second
	}
	return 2 * time.Minute // the server's default; with SyncAlways it syncs what is not a message
}
