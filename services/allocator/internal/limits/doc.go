// Package limits asks the active sources of API accounts what the accounts' limits are, and hands the answers in as
// observations: when the workspace begins to be served, every hour, and five minutes before a window of the account resets.
//
// Guarantees: subscriptions are never asked. The admin key is read from the environment at each question and stands in no
// configuration, log, error or command line; it is sent to the provider's own address only, and never along a redirect.
// When a source is away the last told limits stand, and it is asked again after a pause that grows from a minute to an hour.
//
// The endpoint is Anthropic's Rate Limits API, GET /v1/organizations/rate_limits
// (https://platform.claude.com/docs/en/manage-claude/rate-limits-api): groups of models, each with its limits per minute.
package limits
