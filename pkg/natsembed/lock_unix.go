//go:build darwin || linux || freebsd || openbsd || netbsd

package natsembed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// dirLock is an advisory lock on a store directory. The kernel drops it when the process dies, so a
// crash leaves nothing to clean up.
type dirLock struct {
	file *os.File
	once sync.Once
	err  error
}

func lockDir(dir string) (*dirLock, error) {
	const fileMode = 0o600
	file, err := os.OpenFile(filepath.Join(dir, "bursar.lock"), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open the store's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrStoreInUse, dir)
		}
		return nil, fmt.Errorf("lock the store: %w", err)
	}
	return &dirLock{file: file}, nil
}

func (l *dirLock) release() error {
	l.once.Do(func() {
		if err := l.file.Close(); err != nil {
			l.err = fmt.Errorf("release the store's lock: %w", err)
		}
	})
	return l.err
}
