// Package forecast tells from what a limit was used in the past when its window will run out and what the next week
// is likely to need, with intervals, and tests itself on spans that it was not shown.
//
// The method is that of analogous days. From the present on, the past is searched for moments like this one: the same
// hour of the day, a day of the same kind, about as much going on in the last hours and the last day. What followed
// them, moved to the present level, makes a bundle of paths that the use may take; every answer is a quantile over the
// bundle. Bursts, quiet nights and runs of busy hours are in the paths because they were in the past; nothing is
// assumed of how use is distributed. See docs/forecasts.md for how it compares with simpler methods.
//
// The package is pure: it reads no clock, and the same input gives the same answer. It guarantees that an interval
// is in order, that nothing forecast is negative or NaN, and that a history which is too short is refused and not guessed
// from. The caller must tolerate that use refused for lack of quota is not in the past, so that a need which was never met
// is not foreseen.
package forecast
