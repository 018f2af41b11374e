package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/price"
	"github.com/bursarhq/bursar/pkg/quota"
)

func mustParse(t testing.TB, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func limitByID(t testing.TB, c *Config, id string) quota.Limit {
	t.Helper()
	for _, l := range c.Quota.Limits {
		if l.ID == id {
			return l
		}
	}
	t.Fatalf("no limit %q among %d", id, len(c.Quota.Limits))
	return quota.Limit{}
}

func exampleConfig(t *testing.T, name string) *Config {
	t.Helper()
	return mustParse(t, string(exampleFiles(t, "valid")[name]))
}

func TestWindows(t *testing.T) {
	t.Parallel()
	c := exampleConfig(t, "every-window.yaml")
	all := quota.DefaultWeights(quota.UnitTokens)
	for _, want := range []quota.Limit{
		{ID: "platform/session", Scope: quota.Scope{Team: "platform"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowSession, Duration: 90 * quota.Minute}, Capacity: 1_000_000, Weights: all},
		{ID: "platform/day", Scope: quota.Scope{Team: "platform"}, Unit: quota.UnitTokens, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodDay, Zone: "Europe/Berlin", AnchorMinute: 360}, Capacity: 5_000_000, Weights: all, Thresholds: []int64{50, 100}},
		{ID: "platform/week", Scope: quota.Scope{Team: "platform"}, Unit: quota.UnitOutputTokens, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodWeek, Zone: "America/New_York", AnchorDay: 4, AnchorMinute: 17*60 + 30}, Capacity: 9_000_000, Weights: quota.Weights{Output: 1000}},
		{ID: "platform/month", Scope: quota.Scope{Team: "platform"}, Unit: quota.UnitMicroUSD, Window: quota.Window{Kind: quota.WindowCalendar, Period: quota.PeriodMonth, AnchorDay: 14}, Capacity: 250_000_000, Unwarned: true},
		{ID: "workspace/rpm", Unit: quota.UnitRequests, Window: quota.Window{Kind: quota.WindowBucket, Duration: quota.Minute, Burst: 10}, Capacity: 600},
		{ID: "workspace/itpm", Unit: quota.UnitInputTokens, Window: quota.Window{Kind: quota.WindowBucket, Duration: quota.Minute}, Capacity: 2_000_000, Weights: quota.Weights{Input: 1000, CacheWrite5m: 1000, CacheWrite1h: 1000}},
		{ID: "reviewer/concurrent", Scope: quota.Scope{Agent: "nightly review (Ann's)"}, Unit: quota.UnitRequests, Window: quota.Window{Kind: quota.WindowConcurrent}, Capacity: 2},
	} {
		want.Name = want.ID
		if got := limitByID(t, c, want.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if want := (quota.Principal{Name: "bot@ci.example", Team: "night-shift", MaxPriority: quota.PriorityLow}); !reflect.DeepEqual(c.Quota.Principals[1], want) {
		t.Errorf("got %+v, want %+v", c.Quota.Principals[1], want)
	}
	if c.Quota.Principals[0].MaxPriority != quota.PriorityHigh {
		t.Errorf("the default priority cap is %v, want high", c.Quota.Principals[0].MaxPriority)
	}
}

func TestInheritance(t *testing.T) {
	t.Parallel()
	c := exampleConfig(t, "account-overrides.yaml")
	money := limitByID(t, c, "api-1/monthly_spend")
	if money.Capacity != 300_000_000 || money.Window.Period != quota.PeriodMonth || !reflect.DeepEqual(money.Thresholds, []int64{50, 80, 100}) {
		t.Errorf("a changed capacity must keep the window: %+v", money)
	}
	opus := limitByID(t, c, "api-1/requests_per_minute/opus-5")
	if opus.Window.Burst != 50 || opus.Capacity != 5000 || opus.Scope != (quota.Scope{Account: "api-1", ModelGroup: "opus-5"}) {
		t.Errorf("a changed window must keep the capacity and group: %+v", opus)
	}
	input := limitByID(t, c, "api-1/input_per_minute/sonnet-5")
	if input.Weights.CacheRead != 0 || input.Weights.CacheWrite1h != 1000 || input.Unit != quota.UnitInputTokens {
		t.Errorf("cache reads must not count as input at the API: %+v", input)
	}
	if account, _ := c.Quota.Account("api-1"); account.Kind != quota.KindAPI || account.Tier != "build" {
		t.Errorf("the tier must tell the kind: %+v", account)
	}
	if !reflect.DeepEqual(c.Admins, []string{"root"}) || len(c.Quota.Principals) != 1 {
		t.Errorf("an operator without a team is no spender: %v, %+v", c.Admins, c.Quota.Principals)
	}
}

func TestOwnProvider(t *testing.T) {
	t.Parallel()
	c := exampleConfig(t, "own-provider.yaml")
	mistral, ok := c.Quota.Provider("mistral")
	if !ok || !mistral.InGroup("codestral", "codestral-2508") || mistral.InGroup("codestral", "magistral") || !mistral.InGroup("all", "magistral") {
		t.Errorf("got %+v", mistral)
	}
	claude, _ := c.Quota.Provider("claude")
	if !claude.InGroup("cheap", "claude-haiku-4-5") || !claude.InGroup("opus", "claude-opus-5") {
		t.Error("a row with a built-in name must add to it")
	}
	seat := limitByID(t, c, "seat-1/session")
	if seat.Capacity != 0 || seat.Unit != quota.UnitTokens {
		t.Errorf("a subscription's window may wait to be taught: %+v", seat)
	}
	if limitByID(t, c, "mistral-1/tokens_per_minute/codestral").Scope.ModelGroup != "codestral" {
		t.Error("each_model_group must make one limit for each")
	}
	if u := c.Quota.Unlisted; u == nil || u.Team != "platform" || u.MaxPriority != quota.PriorityLow || len(u.Accounts) != 1 {
		t.Errorf("got %+v", u)
	}
	// What one file adds must not show in the next.
	plain := mustParse(t, "version: 1")
	if _, leaked := plain.Quota.Provider("mistral"); leaked {
		t.Error("a provider of one configuration leaked into another")
	}
	if claude, _ := plain.Quota.Provider("claude"); claude.InGroup("cheap", "claude-haiku-4-5") {
		t.Error("a model group of one configuration leaked into another")
	}
}

func TestPolicyAndPrices(t *testing.T) {
	t.Parallel()
	c := exampleConfig(t, "policy-and-prices.yaml")
	want := quota.Policy{
		MaxLifetime: 2 * quota.Hour, Lease: 5 * quota.Minute, MinLease: 10 * quota.Second, RequestHorizon: 48 * quota.Hour,
		Thresholds: []int64{80, 100}, ClosedKept: 0, ExpiringNotice: 30 * quota.Second, ObservationLead: 0,
		Ladder: []quota.Rung{quota.RungFull, quota.RungSmaller, quota.RungQueue, quota.RungModel}, QueueAgeing: 20 * quota.Minute,
		QueueSkip: 5 * quota.Minute, GrantGrace: 45 * quota.Second,
	}
	if !reflect.DeepEqual(c.Quota.Policy, want) {
		t.Errorf("got %+v, want %+v", c.Quota.Policy, want)
	}
	catalogue, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	if catalogue, err = catalogue.WithOverrides(c.Quota.Prices); err != nil {
		t.Fatal(err)
	}
	newYear := quota.Instant(1_798_761_600_000) // 2027-01-01T00:00:00Z
	before, _ := catalogue.Rate("claude-sonnet-5", newYear-1, false)
	after, _ := catalogue.Rate("claude-sonnet-5", newYear, false)
	if before.CacheRead != 270_000 || after.Input != 2_500_000 || after.CacheRead != 2_500_000 || after.CacheWrite1h != 2_500_000 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if free, ok := catalogue.Rate("house-model", newYear, false); !ok || free != (quota.Rate{}) {
		t.Errorf("a price of 0 that is stated is a price: %+v, %v", free, ok)
	}
	if d := mustParse(t, "version: 1").Quota.Policy; !reflect.DeepEqual(d, quota.DefaultPolicy()) {
		t.Errorf("got %+v, want the default policy", d)
	}
}

// What the README promises of a start without a file.
func TestDefault(t *testing.T) {
	t.Parallel()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[quota.AccountKind]int{}
	for _, a := range c.Quota.Accounts {
		kinds[a.Kind]++
	}
	if kinds[quota.KindSubscription] != 1 || kinds[quota.KindAPI] != 2 || len(c.Teams) != 3 || len(c.Admins) == 0 {
		t.Errorf("accounts %v, teams %v, admins %v", kinds, c.Teams, c.Admins)
	}
	if _, ok := c.Quota.Principal("demo"); !ok {
		t.Error("no principal demo")
	}
	for _, id := range []string{"claude-max/session", "claude-max/weekly", "claude-max/weekly_opus", "anthropic-api/monthly_spend", "openai-api/tokens_per_minute/gpt-5"} {
		if l := limitByID(t, c, id); l.Capacity == 0 {
			t.Errorf("%s has no capacity", id)
		}
	}
	for _, name := range []string{"claude", "openai"} {
		p, ok := c.Quota.Provider(name)
		if !ok || len(p.Tiers) == 0 || len(p.ModelGroups) == 0 {
			t.Errorf("provider %s: %+v", name, p)
		}
	}
}

// Every model of the price catalogue falls into a model group of its provider, except where no limit is known of it.
func TestModelGroupsCoverTheCatalogue(t *testing.T) {
	t.Parallel()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := price.Default()
	if err != nil {
		t.Fatal(err)
	}
	for _, model := range catalogue.Models() {
		provider, ok := c.Quota.Provider(catalogue.Entries(model)[0].Provider)
		if !ok {
			t.Fatalf("%s: unknown provider", model)
		}
		grouped := false
		for _, g := range provider.ModelGroups {
			grouped = grouped || provider.InGroup(g.Name, model)
		}
		if !grouped && model != "claude-mythos-5" {
			t.Errorf("%s is in no model group of %s", model, provider.Name)
		}
	}
}

// The structs and the schema have the same keys.
func TestStructsAgreeWithSchema(t *testing.T) {
	t.Parallel()
	s, err := loadSchema()
	if err != nil {
		t.Fatal(err)
	}
	limit := []string{"#/$defs/tierLimit", "#/$defs/limit", "#/$defs/account/properties/limits/items"}
	for _, row := range []struct {
		raw any
		at  []string
	}{
		{rawPolicy{}, []string{"#/$defs/policy"}},
		{rawProvider{}, []string{"#/$defs/provider"}},
		{rawGroup{}, []string{"#/$defs/provider/properties/model_groups/items"}},
		{rawTier{}, []string{"#/$defs/provider/properties/tiers/items"}},
		{rawAccount{}, []string{"#/$defs/account"}},
		{rawSource{}, []string{"#/$defs/account/properties/limits_source"}},
		{rawLimit{}, limit},
		{rawScope{}, []string{"#/$defs/limit/properties/scope"}},
		{rawWindow{}, []string{"#/$defs/window"}},
		{rawWeights{}, []string{"#/$defs/weights"}},
		{rawPrincipal{}, []string{"#/$defs/principal", "#/properties/unlisted"}},
		{rawPrice{}, []string{"#/$defs/price"}},
		{rawTeam{}, []string{"#/$defs/team"}},
		{rawShare{}, []string{"#/$defs/share"}},
		{rawFanOut{}, []string{"#/$defs/fanOut"}},
		{rawCeilings{}, []string{"#/$defs/ceilings"}},
		{rawPeriod{}, []string{"#/$defs/periods"}},
	} {
		want := map[string]bool{}
		for _, at := range row.at {
			for _, name := range s.properties(at) {
				want[name] = true
			}
		}
		got := map[string]bool{}
		for i := range reflect.TypeOf(row.raw).NumField() {
			got[reflect.TypeOf(row.raw).Field(i).Tag.Get("json")] = true
		}
		for key := range want {
			if !got[key] {
				t.Errorf("config.schema.json has %s in %v, %T has not: add a field to it in file.go or team.go, and have the builder use it", key, row.at, row.raw)
			}
		}
		for key := range got {
			if !want[key] {
				t.Errorf("%T has %s, config.schema.json has it in none of %v: add it there", row.raw, key, row.at)
			}
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, large := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(good, DefaultYAML(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(large, bytes.Repeat([]byte("#"), MaxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(good); err != nil {
		t.Error(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// What a fault proposes to write for the accounts may be written there.
func TestTheExampleOfAccountsIsOne(t *testing.T) {
	t.Parallel()
	for _, faulty := range []string{"5", "[max-1]"} {
		_, err := Parse("a.yaml", []byte("version: 1\naccounts: "+faulty+"\n"))
		if err == nil {
			t.Fatalf("accounts may be %s", faulty)
		}
		_, example, _ := strings.Cut(err.Error(), "write for example ")
		if _, err := Parse("a.yaml", []byte("version: 1\n"+example+"\n")); err != nil || !strings.HasPrefix(example, "accounts: ") {
			t.Errorf("of %q: %v", example, err)
		}
	}
}

func TestHostileInput(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"brackets":        strings.Repeat("[", MaxBytes),
		"braces":          strings.Repeat("{a: ", MaxBytes/4),
		"dashes":          strings.Repeat("- ", MaxBytes/2),
		"question marks":  strings.Repeat("? ", MaxBytes/2),
		"indentation":     indented(700),
		"one large block": strings.Repeat("a: b\n", MaxBytes/5),
		"one large flow":  "{" + strings.Repeat("a: b,\n", MaxBytes/6) + "}",
		"large in a list": "- " + strings.Repeat("a: |\n    b\n  ", MaxBytes/13),
		"too large":       strings.Repeat("#", MaxBytes+1),
		"not utf-8":       "version: \xff\xfe",
		"nul":             "version: 1\x00",
		"bomb":            "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nversion: 1\n",
		"infinity":        "version: .inf\n",
		"null":            "version: ~\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var faults Faults
			if _, err := Parse(name, []byte(text)); !errors.As(err, &faults) {
				t.Fatalf("got %v, want faults", err)
			}
		})
	}
}

func indented(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]quota.Millis{
		"0s": 0, "250ms": 250, "90s": 90_000, "1h30m": 90 * quota.Minute, "7d": 7 * quota.Day, "1w": 7 * quota.Day, "366d": MaxDuration,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"5", "h", "5x", "-1s", "1.5h", "367d", "99999999999999999999s", "9223372036854775807ms", "1h h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%s: got %d, want an error", text, got)
		}
	}
}

// Whatever is fed in, Parse returns either a configuration or faults with places, and a configuration that it returned
// is taken by the price catalogue.
func FuzzParse(f *testing.F) {
	f.Add(DefaultYAML())
	for _, folder := range []string{"valid", "invalid", "refused"} {
		files, err := filepath.Glob("../../schemas/v1/examples/config/" + folder + "/*")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	catalogue, err := price.Default()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz", data)
		if err == nil {
			if _, err := catalogue.WithOverrides(c.Quota.Prices); err != nil {
				t.Fatalf("prices that passed are refused: %v", err)
			}
			return
		}
		var faults Faults
		if !errors.As(err, &faults) || len(faults) == 0 || faults[0].Line < 1 || faults[0].Column < 1 {
			t.Fatalf("no faults with places: %v", err)
		}
	})
}

func BenchmarkParseDefault(b *testing.B) {
	for b.Loop() {
		if _, err := Default(); err != nil {
			b.Fatal(err)
		}
	}
}
