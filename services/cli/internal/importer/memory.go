package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout bounds the wait for another import that uses the same memory.
const lockTimeout = 2 * time.Second

// ErrInUse: another import runs with the same memory.
var ErrInUse = errors.New("another import of this workspace runs on this machine")

// Memory is what earlier runs have brought into one ledger: how far each file was read, and each call.
type Memory struct{ db *bbolt.DB }

var (
	bucketFiles    = []byte("files")
	bucketMessages = []byte("messages")
	bucketRequests = []byte("requests")
)

// OpenMemory opens the memory at path and makes it where it is missing. Errors: [ErrInUse].
func OpenMemory(path string) (*Memory, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w (%s)", ErrInUse, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open the memory of imports %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketFiles, bucketMessages, bucketRequests} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Memory{db}, nil
}

// Close closes the memory.
func (m *Memory) Close() error { return m.db.Close() }

// fileMark is how far a file was read.
type fileMark struct {
	Offset int64       `json:"offset"` // after the last whole line
	Head   string      `json:"head"`   // hash of its beginning: another file may get the same name
	Reader readerState `json:"reader,omitzero"`
}

// sighting is what is known of a message: a message may stand under several request ids.
type sighting struct {
	Request   string `json:"request"`
	Sidechain bool   `json:"sidechain,omitzero"`
	Total     int64  `json:"total"` // tokens reported
	ID        string `json:"id"`    // under which they were
}

func get[T any](tx *bbolt.Tx, bucket []byte, key string) (value T, err error) {
	data := tx.Bucket(bucket).Get([]byte(key))
	if data == nil {
		return value, nil
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return value, fmt.Errorf("the memory of imports is damaged at %s %q: %w", bucket, key, err)
	}
	return value, nil
}

func put(tx *bbolt.Tx, bucket []byte, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put([]byte(key), data)
}
