//go:build darwin || linux || freebsd || openbsd || netbsd

package datadir

import (
	"errors"
	"os"
	"syscall"
)

// lock takes an advisory lock that the kernel drops with the process, so that a crash leaves nothing to clean up.
func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}
