package provision

import (
	"errors"
	"fmt"
	"slices"
)

// MinServer is the oldest nats-server that the promises were tested on. An older one takes the configuration of a stream
// and leaves out of it, without a word, what it does not know.
const MinServer = "2.15.2"

// ErrOldServer: the server is older than [MinServer].
var ErrOldServer = errors.New("nats-server " + MinServer + " or later is needed")

// recent refuses the version of a server that is too old. What is no version, as of a server built by hand, passes.
func recent(version string) error {
	have, ok := numbers(version)
	least, _ := numbers(MinServer)
	if ok && slices.Compare(have[:], least[:]) < 0 {
		return fmt.Errorf("%w, this one is %s", ErrOldServer, version)
	}
	return nil
}

// numbers reads the numbers of a version; what follows them, such as -beta.1, is left out.
func numbers(version string) (n [3]int, ok bool) {
	_, err := fmt.Sscanf(version, "%d.%d.%d", &n[0], &n[1], &n[2])
	return n, err == nil
}
