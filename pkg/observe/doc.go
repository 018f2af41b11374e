// Package observe turns what a provider said into observations: response headers as they came, the status line of
// Claude Code, the rate limits in Codex's session logs, and the body of a refusal (429 or 529).
//
// Guarantees: it is pure, it never fails as a whole, and it never drops a window because its name is new. What cannot
// be read is told by field in [Said.Problems], and the fields beside it count all the same. It reads no more than
// [MaxBody] of a body and keeps at most [MaxWindows] windows.
//
// The caller must tolerate that numbers of a provider are rounded (percentages to whole ones, remaining tokens to
// thousands) and that a refusal may name no window at all.
//
// # Names of windows
//
// Windows that Bursar's provider table knows get its names: session (5 hours), weekly (7 days), weekly_<family>, and of
// API accounts requests_per_minute, tokens_per_minute, input_per_minute and output_per_minute. Any other window keeps
// the provider's name, with the characters replaced that a name must not have.
package observe
