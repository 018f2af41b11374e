// Package statusline makes the one line that `bursar statusline` prints below a prompt of Claude Code: how full the
// windows are, how fast they fill, what is reserved, and when they reset.
//
// Guarantees: it reads any input without failing, and what a line says of windows comes from the status line JSON alone,
// so that it stands without a Bursar.
package statusline
