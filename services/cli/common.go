package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bursarhq/bursar/pkg/config"
	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/wire"
)

// show writes a document as JSON where that was asked for, else as people shows it.
func (a *app) show(document any, people func()) error {
	if !a.options.json {
		people()
		return nil
	}
	encoder := json.NewEncoder(a.process.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

func totalTokens(t wire.Tokens) int64 { return quota.Tokens(t).Total() }

func addTokens(a, b wire.Tokens) wire.Tokens {
	return wire.Tokens(quota.Tokens(a).Add(quota.Tokens(b)))
}

func wireTime(t time.Time) wire.Time { return wire.TimeOf(quota.InstantOf(t)) }

func plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// decodeSuggestions reads the current advice; fields that this version does not know are ignored.
func decodeSuggestions(data []byte) (wire.SuggestionList, error) {
	current := wire.SuggestionList{}
	if err := json.Unmarshal(data, &current); err != nil {
		return current, fmt.Errorf("read the suggestions: %w", err)
	}
	current.Suggestions = list(current.Suggestions)
	return current, nil
}

// list makes an absent list an empty one: scripts need not tell the two apart.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// sortedKeys lists the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// defaultConfig is the text of the configuration that a new ledger gets.
func defaultConfig() []byte { return config.DefaultYAML() }
