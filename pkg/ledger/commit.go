package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Bounds of the record; at them the caller gets an error that names the bound.
const (
	// MaxCommitBytes is the most that one encoded commit has; NATS takes 1 MB by default.
	MaxCommitBytes = 512 << 10
	// MaxBodyBytes is the most that a body has before compression.
	MaxBodyBytes = 8 << 20
	// MaxEvents and MaxAnswers bound the counts in one commit.
	MaxEvents  = 65_536
	MaxAnswers = 65_536
)

// Errors of this package; each is wrapped with what was found.
var (
	// ErrCorrupt says that bytes are not a commit or keyframe, or not the one that was written.
	ErrCorrupt = errors.New("corrupt record")
	// ErrVersion says that a record was written by a version that this program does not know.
	ErrVersion = errors.New("record of another version")
	// ErrTooLarge says that a record exceeds a bound.
	ErrTooLarge = errors.New("record too large")
	// ErrSequence says that a commit is not the next one of the ledger.
	ErrSequence = errors.New("not the next commit")
	// ErrBroken says that folding a commit broke an invariant or did not give the totals it carries.
	ErrBroken = errors.New("broken ledger")
)

// ID is 16 random bytes: of a ledger, or of a commit.
type ID [16]byte

// IsZero tells whether the id is not set.
func (id ID) IsZero() bool { return id == ID{} }

// String gives the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Hash is the SHA-256 of a commit's bytes.
type Hash [sha256.Size]byte

// String gives the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// HashOf hashes the bytes of a commit.
func HashOf(data []byte) Hash { return sha256.Sum256(data) }

// Key names one request for ever: the hash of who sent it and of the request id it carries.
type Key [16]byte

// KeyOf computes a key. The principal comes from the request's subject, never from its body, so that no one can name
// the requests of somebody else.
func KeyOf(principal, requestID string) Key {
	d := digest("request", []byte(principal), []byte(requestID))
	return Key(d[:16])
}

// Params stands for what a request asked for: the same key with other parameters is an error.
type Params [8]byte

// ParamsOf hashes the parts that make a request what it is: its verb, the agent, the body.
func ParamsOf(parts ...[]byte) Params {
	d := digest("params", parts...)
	return Params(d[:8])
}

// digest hashes parts with their lengths, so that no two lists of parts are hashed from the same bytes.
func digest(domain string, parts ...[]byte) Hash {
	var room [256]byte
	b := append(room[:0], domain...)
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return sha256.Sum256(b)
}

// Commit is one revision of a ledger: what one group of decisions changed, and how each was answered.
type Commit struct {
	Ledger  ID
	Epoch   uint64 // the reign of the writer
	Number  uint64 // 1 for the first of a ledger
	ID      ID     // random: how a writer finds its own commit again
	Prev    Hash   // of the bytes of the commit before; zero for the first
	At      quota.Instant
	Events  []quota.Event
	Answers []Answer
	Totals  quota.Totals // after the events
}

// Answer is what one request was told.
type Answer struct {
	Key      Key
	Params   Params
	IssuedAt quota.Instant // when the request id was made: the time in the UUIDv7
	Result   quota.Result
}

// Entry is one stored revision of the ledger's key.
type Entry struct {
	Revision uint64
	Data     []byte
	Stored   time.Time // by the server's clock; zero where it is not known
}
