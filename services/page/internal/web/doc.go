// Package web serves the page over HTTP: its files, the present state and usage as JSON, and what changes as
// server-sent events.
//
// It only answers questions; nothing that a browser sends changes anything in Bursar. It guarantees that nobody reads
// who may not: without a login only requests that name this machine as their host are answered, so that a page from
// elsewhere cannot have its name resolve to this address and read along; with a login every request but those of the
// login itself needs the token or the cookie that it is exchanged for. A browser runs no script, takes no style and
// sends no data but from and to this server.
//
// Lookers-on are bounded in number, and each costs bounded memory: see package live.
package web
