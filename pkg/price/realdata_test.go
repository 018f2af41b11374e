//go:build testdata

package price

import (
	"encoding/json"
	"math/big"
	"os"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
	"github.com/bursarhq/bursar/pkg/realdata"
)

// sourceModel is a model in the file that prices.csv was made from, in USD per token.
type sourceModel struct {
	Kind         string      `json:"source_kind"`
	Input        json.Number `json:"input_cost_per_token"`
	Output       json.Number `json:"output_cost_per_token"`
	CacheRead    json.Number `json:"cache_read_input_token_cost"`
	CacheWrite   json.Number `json:"cache_creation_input_token_cost"`
	CacheWrite1h json.Number `json:"cache_creation_input_token_cost_above_1hr"`
	Batch        json.Number `json:"input_cost_per_token_batches"`
	Long200      json.Number `json:"input_cost_per_token_above_200k_tokens"`
	Long272      json.Number `json:"input_cost_per_token_above_272k_tokens"`
}

// notTaken are aliases that the mirror added without a source, and the model whose periods the file states apart.
func notTaken(name string, m sourceModel) bool {
	return m.Kind == "alias" && name != "claude-opus-4-8" && name != "claude-opus-4-6-thinking" || name == "claude-sonnet-5"
}

// Every price of the source is found under the source's own name.
func TestCatalogueAgreesWithItsSource(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(realdata.Path(t, "prices", "model_prices_2026-07-24.json"))
	if err != nil {
		t.Fatal(err)
	}
	var source struct {
		Models map[string]sourceModel `json:"models"`
	}
	if err := json.Unmarshal(data, &source); err != nil {
		t.Fatal(err)
	}
	c, on, checked := builtIn(t), at(t, "2026-07-24T00:00:00Z"), 0
	for name, m := range source.Models {
		if notTaken(name, m) {
			continue
		}
		checked++
		want := quota.Rate{Input: micro(t, m.Input), Output: micro(t, m.Output)}
		want.CacheRead, want.CacheWrite5m = or(t, m.CacheRead, want.Input), or(t, m.CacheWrite, want.Input)
		want.CacheWrite1h = or(t, m.CacheWrite1h, want.CacheWrite5m)
		got, ok := c.Rate(name, on, false)
		if !ok || got != want {
			t.Errorf("%s: got %+v, %v; the source says %+v", name, got, ok, want)
		}
		if batch, ok := c.Rate(name, on, true); m.Batch != "" && (!ok || batch.Input != micro(t, m.Batch)) {
			t.Errorf("%s: a batch call costs %+v, %v; the source says %s", name, batch, ok, m.Batch)
		}
		for above, price := range map[int64]json.Number{200_000: m.Long200, 272_000: m.Long272} {
			if long, _ := c.Lookup(Query{Model: name, At: on, InputTokens: above + 1}); price != "" && long.Input != micro(t, price) {
				t.Errorf("%s: above %d tokens it costs %+v, the source says %s", name, above, long, price)
			}
		}
	}
	if checked < 80 {
		t.Errorf("only %d models were compared", checked)
	}
}

// micro converts USD per token to micro-USD per million tokens, exactly.
func micro(t *testing.T, usd json.Number) int64 {
	t.Helper()
	r, ok := new(big.Rat).SetString(usd.String())
	if !ok {
		t.Fatalf("no price: %q", usd)
	}
	r.Mul(r, big.NewRat(1e12, 1))
	if !r.IsInt() {
		t.Fatalf("%s USD per token is no whole micro-USD per million", usd)
	}
	return r.Num().Int64()
}

func or(t *testing.T, usd json.Number, otherwise int64) int64 {
	t.Helper()
	if usd == "" {
		return otherwise
	}
	return micro(t, usd)
}
