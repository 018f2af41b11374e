package config

// example gives a hint for a key, where one helps.
func example(name string) string {
	if e := exampleOf(name); e != "" {
		return "write for example " + name + ": " + e
	}
	return ""
}

// exampleAt is example where the place decides: what counts tokens in a limit is money in a price, and what names accounts
// elsewhere says what they are at the top.
func exampleAt(at pointer, name string) string {
	if len(at) > 0 && at[0] == "accounts" && name == "accounts" {
		return "write for example accounts: [{id: max-1, provider: claude, tier: max_20x}]"
	}
	if len(at) > 0 && at[0] == "prices" && exampleOf(name) == exampleOf("input") {
		return "write for example " + name + ": 3_000_000 (3 USD per million tokens)"
	}
	return example(name)
}

// exampleOf gives a value that a key may have.
func exampleOf(name string) string {
	switch name {
	case "version":
		return "1"
	case "name", "team":
		return "platform"
	case "id", "account":
		return "max-1"
	case "provider":
		return "claude"
	case "kind":
		return "subscription"
	case "tier":
		return "max_20x"
	case "admin_key_env":
		return "ANTHROPIC_ADMIN_KEY"
	case "limits_source":
		return "{type: anthropic_rate_limits, admin_key_env: ANTHROPIC_ADMIN_KEY}"
	case "teams":
		return "[platform, research]"
	case "accounts":
		return "[max-1]"
	case "model":
		return "claude-sonnet-5"
	case "models":
		return "[claude-opus-*]"
	case "model_group":
		return "opus"
	case "agent":
		return "nightly-review"
	case "scope":
		return "{team: platform}"
	case "window":
		return "{kind: session, duration: 5h}"
	case "max_lifetime", "duration", "lease", "min_lease", "request_horizon", "expiring_notice", "observation_lead":
		return "5h (units are ms, s, m, h, d, w)"
	case "period":
		return "day"
	case "zone":
		return "Europe/Berlin"
	case "at":
		return `"09:00"`
	case "capacity", "burst":
		return "2_000_000"
	case "day_of_month":
		return "1"
	case "from":
		return "2026-10-01"
	case "weights":
		return "{cache_read: 100} (thousandths)"
	case "input", "output", "cache_read", "cache_write_5m", "cache_write_1h":
		return "1000 (thousandths)"
	case "thresholds":
		return "[75, 90, 95]"
	case "admin":
		return "true"
	}
	return ""
}
