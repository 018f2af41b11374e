package config

import (
	"strings"
	"testing"

	"github.com/bursarhq/bursar/pkg/quota"
)

// TestLimitsSource: an API account may name who is asked, by the name of a variable and never by the key; a subscription
// may not.
func TestLimitsSource(t *testing.T) {
	t.Parallel()
	parse := func(tier, source string) (*Config, string) {
		c, err := Parse("test", []byte("version: 1\naccounts:\n  - {id: a, provider: claude, tier: "+tier+", limits_source: "+source+"}\n"))
		if err != nil {
			return nil, err.Error()
		}
		return c, ""
	}
	const sound = "{type: anthropic_rate_limits, admin_key_env: ANTHROPIC_ADMIN_KEY}"
	c, problem := parse("start", sound)
	if problem != "" || *c.Quota.Accounts[0].LimitsSource != (quota.LimitsSource{Type: quota.SourceAnthropic, KeyEnv: "ANTHROPIC_ADMIN_KEY"}) {
		t.Fatalf("%s %+v", problem, c)
	}
	for name, row := range map[string]struct{ tier, source, want string }{
		"a subscription":  {"max_20x", sound, "a subscription is never asked"},
		"the key itself":  {"start", "{type: anthropic_rate_limits, admin_key_env: sk-ant-admin01-x}", "admin_key_env"},
		"another type":    {"start", "{type: openai, admin_key_env: A}", "type"},
		"no key variable": {"start", "{type: anthropic_rate_limits}", "admin_key_env"},
		"another address": {"start", "{type: anthropic_rate_limits, admin_key_env: A, url: http://elsewhere.invalid}", "url"},
	} {
		if _, problem := parse(row.tier, row.source); !strings.Contains(problem, row.want) {
			t.Errorf("%s: %q does not say %q", name, problem, row.want)
		}
	}
}
