package natstest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/natsembed"
)

// full is a device that nothing can be written to for want of room.
const full = "/dev/full"

// FillDisk has a stream of a server whose store directory is dir run out of disk, as if the disk were full. It skips the test
// on a system without /dev/full.
func FillDisk(t testing.TB, srv *natsembed.Server, dir string) {
	t.Helper()
	if _, err := os.Stat(full); err != nil {
		t.Skip("this system has no device that is always full: ", err)
	}
	js, err := jetstream.New(Connect(t, srv))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	// The stream's second file lies on that device: what does not fit into the first one, 8 MB at most, is not stored.
	if err := os.Symlink(full, filepath.Join(dir, "jetstream", "$G", "streams", "S", "msgs", "2.blk")); err != nil {
		t.Fatal(err)
	}
	stored, half := 0, make([]byte, natsembed.MaxPayloadBytes/2)
	for publish := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "s", half)
		return err
	}; publish() == nil; stored++ {
		if stored > 32 {
			t.Fatal("a full disk acknowledged messages")
		}
	}
}
