// Package live keeps what the page shows of a workspace, for any number of lookers-on: how everything stands now, the
// current advice, and the last events.
//
// A [Board] holds the present picture and a ring of events; a [Poller] brings the picture up to date whenever an event
// tells that something changed, and every few seconds for what changes by time alone. Nothing is asked while nobody
// looks on.
//
// It guarantees bounded memory whatever happens: a looker-on has a [Cursor] and no queue of its own, so one that is slow
// gets the newest picture and is told how many events it missed. Lookers-on must tolerate that: the page is a window to
// look through, the record is the ledger.
package live
