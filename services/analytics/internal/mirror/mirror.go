// Package mirror copies into ClickHouse what analysts want and no ledger has: the built-in prices, and the current
// suggestions of every workspace, which the suggestion service keeps in a bucket.
//
// What is copied may be copied again without harm: a row of the same price or suggestion replaces the one before. A
// suggestion that is in the list no more stays, and is not current. The caller must tolerate that copies are up to Every
// behind.
package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/wire"
	"github.com/bursarhq/bursar/services/analytics/internal/rollup"
)

const (
	// Every is how often the suggestions are looked at.
	Every = 15 * time.Second
	// timeout bounds one copy.
	timeout = 30 * time.Second
	// forever is how ClickHouse writes a price that still holds: its last Date.
	forever = "2149-06-06"
)

// Mirror copies. It is not safe for concurrent use.
type Mirror struct {
	conn     driver.Conn
	bucket   jetstream.KeyValue
	progress *rollup.Progress
	log      *slog.Logger
	// restarts is how often progress had restarted when copied was filled.
	restarts uint64
	priced   bool
	copied   map[string]uint64 // revision by workspace
}

// New returns a mirror into conn of the suggestions of the workspaces that progress knows.
func New(conn driver.Conn, bucket jetstream.KeyValue, progress *rollup.Progress, log *slog.Logger) *Mirror {
	return &Mirror{conn: conn, bucket: bucket, progress: progress, log: log, copied: map[string]uint64{}}
}

// Run copies until ctx ends. It returns nil.
func (m *Mirror) Run(ctx context.Context) error {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	for {
		if err := m.Copy(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("copying prices and suggestions into ClickHouse: trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Copy copies what is new.
func (m *Mirror) Copy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	workspaces, restarts := m.progress.Workspaces()
	if len(workspaces) == 0 {
		return nil // the tables may not be there yet
	}
	if restarts != m.restarts { // ClickHouse may be another one
		m.restarts, m.priced = restarts, false
		clear(m.copied)
	}
	if !m.priced {
		if err := m.copyPrices(ctx); err != nil {
			return err
		}
		m.priced = true
	}
	for _, workspace := range workspaces {
		if err := m.copySuggestions(ctx, workspace); err != nil {
			return fmt.Errorf("workspace %s: %w", workspace, err)
		}
	}
	return nil
}

func (m *Mirror) copyPrices(ctx context.Context) error {
	catalogue, err := price.Default()
	if err != nil {
		return err
	}
	var entries []price.Entry
	for _, model := range catalogue.Models() {
		entries = append(entries, catalogue.Entries(model)...)
	}
	digest := sha256.New()
	for _, e := range entries {
		_, _ = fmt.Fprintln(digest, e)
	}
	name := hex.EncodeToString(digest.Sum(nil))[:12]
	return m.insert(ctx, "INSERT INTO bursar.prices (provider, model, valid_from, valid_to, above_input_tokens, input_micro_usd, output_micro_usd,"+
		" cache_read_micro_usd, cache_write_5m_micro_usd, cache_write_1h_micro_usd, batch_permille, catalogue)", func(batch driver.Batch) error {
		for _, e := range entries {
			to := forever
			if e.To != 0 {
				to = e.To.Time().UTC().Format(time.DateOnly)
			}
			err := batch.Append(e.Provider, e.Model, e.From.Time().UTC().Format(time.DateOnly), to, e.AboveInput, e.Rate.Input, e.Rate.Output,
				e.Rate.CacheRead, e.Rate.CacheWrite5m, e.Rate.CacheWrite1h, e.BatchPermille, name)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *Mirror) copySuggestions(ctx context.Context, workspace string) error {
	key, err := wire.SuggestionsKey(workspace)
	if err != nil {
		return err
	}
	entry, err := m.bucket.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("reading the suggestions: %w", err)
	case entry.Revision() == m.copied[workspace]:
		return nil
	}
	var list wire.SuggestionList
	if err := json.Unmarshal(entry.Value(), &list); err != nil {
		return fmt.Errorf("reading the suggestions: %w", err)
	}
	err = m.insert(ctx, "INSERT INTO bursar.suggestions (workspace, suggestion_id, rule, provider, account, target, limit_id, team, task_type, title,"+
		" advice, saving_micro_usd, saving_basis, confidence_percent, window_starts_at, window_ends_at, made_at, listed_at, revision, data)", func(batch driver.Batch) error {
		// The row without an id says which list is the current one, even if it is empty.
		for _, s := range append(list.Suggestions, wire.Suggestion{}) {
			var data []byte
			if s.SuggestionID != "" {
				var err error
				if data, err = json.Marshal(s); err != nil {
					return err
				}
			}
			err := batch.Append(workspace, s.SuggestionID, s.Rule, s.Subject.Provider, s.Subject.Account, s.Subject.Target, s.Subject.LimitID, s.Subject.Team,
				s.Subject.TaskType, s.Title, s.Advice, s.SavingMicroUSD, s.SavingBasis, float64(s.ConfidencePercent)/milli, s.WindowStartsAt.Time(),
				s.WindowEndsAt.Time(), s.MadeAt.Time(), list.AsOf.Time(), entry.Revision(), string(data))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		m.copied[workspace] = entry.Revision()
	}
	return err
}

// milli is how many parts a wire.Percent has of one percent.
const milli = 1000

// insert fills one block.
func (m *Mirror) insert(ctx context.Context, statement string, fill func(driver.Batch) error) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	batch, err := m.conn.PrepareBatch(ctx, statement)
	if err != nil {
		return fmt.Errorf("preparing a copy: %w", err)
	}
	if err := fill(batch); err != nil {
		return errors.Join(fmt.Errorf("filling a copy: %w", err), batch.Abort())
	}
	return batch.Send()
}
