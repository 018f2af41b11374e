package system

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/bursarhq/bursar/pkg/natsembed"
)

// portHint says what to do when a port is taken. Whoever starts a second system mostly wants the first one.
func portHint(err error, what string, port int) error {
	if !errors.Is(err, natsembed.ErrPortInUse) && !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	use := ""
	if what != "metrics" {
		use = fmt.Sprintf(", use what runs there with --%s-url", what)
	}
	return &portTaken{err, fmt.Sprintf("port %d of 127.0.0.1 is taken, perhaps by another Bursar (`bursar status` asks it): end that one%s, or give --%s-port 0 for any free port",
		port, use, what)}
}

// portTaken says what to do, which the error of the operating system would only repeat.
type portTaken struct {
	error
	advice string
}

func (e *portTaken) Error() string { return e.advice }
func (e *portTaken) Unwrap() error { return e.error }
