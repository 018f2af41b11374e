package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/bursarhq/bursar/pkg/quota"
)

// Bounds of keyframes.
const (
	// MaxChunkBytes is the most that one chunk has.
	MaxChunkBytes = 512 << 10
	// MaxChunks is the most chunks of one keyframe.
	MaxChunks = 2048
	// MaxKeyframeBytes is the most that a keyframe has before compression.
	MaxKeyframeBytes = 1 << 30
)

const keyframeMagic = "BQK"

// Snapshot is a copy of a ledger as of a commit, from which a keyframe is made. It shares nothing with the ledger that changes.
type Snapshot struct {
	pos     Position
	state   *quota.Snapshot
	memory  []recalled
	floor   quota.Instant
	horizon quota.Millis
}

// Position tells as of which commit the snapshot is.
func (s *Snapshot) Position() Position { return s.pos }

// Snapshot copies the ledger. Where a writer is ahead of the last commit, give the state that was copied with that
// commit ([quota.State.Copy] will do: Encode arranges it); otherwise nil.
func (l *Ledger) Snapshot(state *quota.Snapshot) *Snapshot {
	if state == nil {
		state = l.state.Copy()
	}
	return &Snapshot{pos: l.pos, state: state, floor: l.memory.floor, horizon: l.horizon, memory: l.memory.share()}
}

// Manifest describes a keyframe. It is small and stored last, so that a keyframe that has one is complete.
type Manifest struct {
	_        struct{} `cbor:",toarray"`
	Ledger   ID
	Epoch    uint64
	Number   uint64
	Revision uint64
	Hash     Hash // of the commit's bytes
	At       quota.Instant
	Size     uint64 // bytes before compression
	Chunks   []ChunkInfo
}

// ChunkInfo says what a chunk must be.
type ChunkInfo struct {
	_    struct{} `cbor:",toarray"`
	Size uint32
	Sum  Hash // SHA-256
}

// Position tells as of which commit the keyframe is.
func (m *Manifest) Position() Position {
	return Position{Ledger: m.Ledger, Epoch: m.Epoch, Number: m.Number, Revision: m.Revision, Hash: m.Hash, At: m.At}
}

// EncodedKeyframe is a keyframe as it is stored: the chunks first, the manifest last.
type EncodedKeyframe struct {
	Manifest []byte
	Chunks   [][]byte
}

// keyframe is the content of a keyframe.
type keyframe struct {
	_       struct{} `cbor:",toarray"`
	State   *quota.Snapshot
	Floor   quota.Instant
	Horizon quota.Millis
	Memory  []recalled
}

// Encode gives the keyframe's bytes. It fails with ErrTooLarge beyond MaxKeyframeBytes or MaxChunks. It takes long for
// large ledgers; it may run beside the ledger, since the snapshot is a copy, and once at a time.
func (s *Snapshot) Encode() (*EncodedKeyframe, error) {
	body, err := s.content()
	if err != nil {
		return nil, err
	}
	if len(body) > MaxKeyframeBytes {
		return nil, fmt.Errorf("%w: a keyframe of %d bytes, at most %d are allowed", ErrTooLarge, len(body), MaxKeyframeBytes)
	}
	packed := s2.Encode(nil, body)
	m := &Manifest{
		Ledger: s.pos.Ledger, Epoch: s.pos.Epoch, Number: s.pos.Number, Revision: s.pos.Revision, Hash: s.pos.Hash, At: s.pos.At, Size: uint64(len(body)),
	}
	k := &EncodedKeyframe{}
	for chunk := range slices.Chunk(packed, MaxChunkBytes) {
		k.Chunks = append(k.Chunks, chunk)
		m.Chunks = append(m.Chunks, ChunkInfo{Size: uint32(len(chunk)), Sum: sha256.Sum256(chunk)})
	}
	if len(m.Chunks) > MaxChunks {
		return nil, fmt.Errorf("%w: a keyframe of %d chunks, at most %d are allowed", ErrTooLarge, len(m.Chunks), MaxChunks)
	}
	var manifest bytes.Buffer
	if err := encoding.MarshalToBuffer(m, &manifest); err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	k.Manifest, err = pack(nil, keyframeMagic, manifest.Bytes(), MaxChunkBytes)
	return k, err
}

// content gives the keyframe's content, as the tags of keyframe say.
func (s *Snapshot) content() ([]byte, error) {
	s.state.Arrange()
	body := bytes.NewBuffer([]byte{cborArray | 4})
	if err := encoding.MarshalToBuffer(s.state, body); err != nil {
		return nil, fmt.Errorf("encode keyframe: %w", err)
	}
	rest := appendInt(body.AvailableBuffer(), int64(s.floor))
	rest = appendInt(rest, int64(s.horizon))
	body.Write(appendSlots(rest, s.memory))
	return body.Bytes(), nil
}

// DecodeManifest reads a manifest. It fails as Decode does.
func DecodeManifest(data []byte) (*Manifest, error) {
	body, err := unpack(keyframeMagic, data, MaxChunkBytes)
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := decode(body, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if len(m.Chunks) == 0 || len(m.Chunks) > MaxChunks || m.Size > MaxKeyframeBytes {
		return nil, fmt.Errorf("%w: a keyframe of %d chunks and %d bytes, at most %d and %d are allowed", ErrTooLarge, len(m.Chunks), m.Size, MaxChunks, MaxKeyframeBytes)
	}
	for i, c := range m.Chunks {
		if c.Size > MaxChunkBytes {
			return nil, fmt.Errorf("%w: chunk %d has %d bytes, at most %d are allowed", ErrTooLarge, i, c.Size, MaxChunkBytes)
		}
	}
	return &m, nil
}

// Restore makes a ledger of a keyframe. It fails with ErrCorrupt when a chunk is missing or is not the one that the
// manifest names, with ErrVersion when a newer program wrote it, and with ErrBroken when the state breaks an invariant:
// the caller then takes an older keyframe or folds the log.
func Restore(m *Manifest, chunks [][]byte) (*Ledger, error) {
	if len(chunks) != len(m.Chunks) {
		return nil, fmt.Errorf("%w: %d chunks, the manifest names %d", ErrCorrupt, len(chunks), len(m.Chunks))
	}
	for i, chunk := range chunks {
		if len(chunk) != int(m.Chunks[i].Size) || sha256.Sum256(chunk) != m.Chunks[i].Sum {
			return nil, fmt.Errorf("%w: chunk %d is not the one that the manifest names", ErrCorrupt, i)
		}
	}
	body, err := unpackS2(bytes.Join(chunks, nil), int(m.Size))
	if err != nil {
		return nil, err
	}
	return restore(m, body)
}

// restore makes a ledger of a keyframe's content.
func restore(m *Manifest, body []byte) (*Ledger, error) {
	var k keyframe
	if err := decode(body, &k); err != nil {
		return nil, fmt.Errorf("keyframe: %w", err)
	}
	if k.State == nil || k.Horizon < MinMemory || k.State.Now > m.At {
		return nil, fmt.Errorf("%w: the keyframe's content is out of bounds", ErrCorrupt)
	}
	state, err := quota.Restore(k.State)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	l := &Ledger{pos: m.Position(), state: state, memory: newMemory(), horizon: k.Horizon}
	l.memory.floor = k.Floor
	if err := l.memory.recall(k.Memory); err != nil {
		return nil, err
	}
	return l, nil
}
