package provision

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/bus"
	"github.com/bursarhq/bursar/pkg/wire"
)

// Fixed parts of the configuration.
const (
	// LedgerHistory is how many revisions of a key the ledger keeps: all of them. The key-value API
	// itself would stop at 64; a bucket opened with it works with any number.
	LedgerHistory = 1 << 40
	// MaxMessageBytes is the largest message of any stream: the server's largest payload.
	MaxMessageBytes = 1 << 20

	ledgerDuplicates  = 2 * time.Minute
	defaultDuplicates = 2 * time.Minute
	maxReplicas       = 5
	gib               = 1 << 30
)

// Config holds the sizes, in bytes and durations, that operators choose.
type Config struct {
	// Replicas of every stream: 1, 3 or 5.
	Replicas int
	// LedgerMaxBytes bounds the ledger. A full ledger refuses commits; it drops none.
	LedgerMaxBytes int64
	// KeyframesMaxBytes, LeaseMaxBytes, SuggestionsMaxBytes and EstimatesMaxBytes bound the other buckets.
	KeyframesMaxBytes, LeaseMaxBytes, SuggestionsMaxBytes, EstimatesMaxBytes int64
	// EventsMaxBytes and EventsMaxAge bound the public events: the oldest make room. They can be made
	// again from the ledger.
	EventsMaxBytes int64
	EventsMaxAge   time.Duration
	// EventsDuplicates is how long a repeated event is recognised by its id. It has to cover the time
	// from a crash of the relay to its return; the server remembers every id for so long.
	EventsDuplicates time.Duration
}

// Defaults returns sizes for one machine.
func Defaults() Config {
	return Config{
		Replicas:            1,
		LedgerMaxBytes:      8 * gib,
		KeyframesMaxBytes:   2 * gib,
		LeaseMaxBytes:       16 << 20,
		SuggestionsMaxBytes: 256 << 20,
		EstimatesMaxBytes:   64 << 20,
		EventsMaxBytes:      4 * gib,
		EventsMaxAge:        30 * 24 * time.Hour,
		EventsDuplicates:    5 * time.Minute,
	}
}

// Validate reports every fault at once.
func (c Config) Validate() error {
	var errs []error
	if c.Replicas < 1 || c.Replicas > maxReplicas || c.Replicas%2 == 0 {
		errs = append(errs, fmt.Errorf("replicas %d is not 1, 3 or 5", c.Replicas))
	}
	for _, size := range []struct {
		name  string
		bytes int64
	}{
		{"ledger", c.LedgerMaxBytes}, {"keyframes", c.KeyframesMaxBytes}, {"lease", c.LeaseMaxBytes},
		{"suggestions", c.SuggestionsMaxBytes}, {"estimates", c.EstimatesMaxBytes}, {"events", c.EventsMaxBytes},
	} {
		if size.bytes < MaxMessageBytes {
			errs = append(errs, fmt.Errorf("%s max bytes %d is below one message (%d)", size.name, size.bytes, MaxMessageBytes))
		}
	}
	if c.EventsDuplicates <= 0 || c.EventsDuplicates > c.EventsMaxAge {
		errs = append(errs, fmt.Errorf("events duplicates window %s is not within 0 and the events' max age %s", c.EventsDuplicates, c.EventsMaxAge))
	}
	if len(errs) > 0 {
		return fmt.Errorf("provisioning: %w", errors.Join(errs...))
	}
	return nil
}

// Streams returns the wanted configuration of every stream, those of the buckets included.
func (c Config) Streams() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{c.ledger(), c.keyframes(), c.lease(), c.suggestions(), c.estimates(), c.events()}
}

// ledger is a KV bucket and a log at once: every revision of a key is kept, nothing can be deleted or
// rolled up, a full bucket refuses, and reads go to the leader.
func (c Config) ledger() jetstream.StreamConfig {
	s := c.bucket(wire.BucketLedger, c.LedgerMaxBytes)
	s.Description = "Commits of every workspace's ledger; its history is the log"
	s.MaxMsgsPerSubject = LedgerHistory
	s.AllowRollup = false // the KV API's purge would wipe a workspace's log
	s.Duplicates = ledgerDuplicates
	return s
}

func (c Config) keyframes() jetstream.StreamConfig {
	s := c.bucket(wire.BucketKeyframes, c.KeyframesMaxBytes)
	s.Description = "States of ledgers as of a commit, in chunks; rebuildable from the ledger"
	return s
}

func (c Config) lease() jetstream.StreamConfig {
	s := c.bucket(wire.BucketLease, c.LeaseMaxBytes)
	s.Description = "Who tries to lead a workspace; guards nothing"
	s.PersistMode = c.asynchronous() // it is renewed every second, and lost it costs one election
	return s
}

func (c Config) suggestions() jetstream.StreamConfig {
	s := c.bucket(wire.BucketSuggestions, c.SuggestionsMaxBytes)
	s.Description = "The current suggestions of every workspace"
	s.AllowDirect = true // a direct read names its key in the subject, so that permissions can tell workspaces apart
	return s
}

func (c Config) estimates() jetstream.StreamConfig {
	s := c.bucket(wire.BucketEstimates, c.EstimatesMaxBytes)
	s.Description = "What is learned about tasks in every workspace"
	return s
}

func (c Config) events() jetstream.StreamConfig {
	s := c.stream(wire.StreamEvents, wire.FilterEvents, c.EventsMaxBytes)
	s.Description = "Public CloudEvents, made by the relay from the ledger"
	s.Discard = jetstream.DiscardOld
	s.MaxAge = c.EventsMaxAge
	s.MaxMsgsPerSubject = -1
	s.Duplicates = c.EventsDuplicates
	s.PersistMode = c.asynchronous() // it can be made again from the ledger
	return s
}

// asynchronous lets a stream be written without waiting for the disk, which the server offers for
// unreplicated streams only.
func (c Config) asynchronous() jetstream.PersistModeType {
	if c.Replicas > 1 {
		return jetstream.DefaultPersistMode
	}
	return jetstream.AsyncPersistMode
}

// bucket is a key-value bucket that keeps one value per key.
func (c Config) bucket(name string, maxBytes int64) jetstream.StreamConfig {
	s := c.stream(wire.BucketStream(name), wire.BucketSubject(name), maxBytes)
	s.Discard = jetstream.DiscardNew
	s.MaxMsgsPerSubject = 1
	s.AllowRollup = true
	s.AllowMsgTTL = true // lets the tombstones of purged keys disappear
	return s
}

// stream states every field that matters, also where the server's default is the same: a default may
// change, and [Check] compares all of them.
func (c Config) stream(name, subject string, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:         name,
		Subjects:     []string{subject},
		Retention:    jetstream.LimitsPolicy,
		MaxConsumers: -1,
		MaxMsgs:      -1,
		MaxBytes:     maxBytes,
		MaxMsgSize:   MaxMessageBytes,
		Storage:      jetstream.FileStorage,
		Replicas:     c.Replicas,
		Duplicates:   defaultDuplicates,
		DenyDelete:   true,
		Compression:  jetstream.NoCompression,
	}
}

// Consumer is a durable consumer and the stream it reads.
type Consumer struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// Consumers returns the durable consumers of the ledger, one for each service that follows it. They
// read every workspace, from the first commit on.
func (c Config) Consumers() []Consumer {
	var consumers []Consumer
	for _, name := range wire.LedgerConsumers() {
		cfg := bus.Durable(name, wire.FilterLedger, bus.StartAll())
		cfg.Replicas = c.Replicas
		consumers = append(consumers, Consumer{Stream: wire.StreamLedger, Config: cfg})
	}
	return consumers
}
