// What an event says in a line: a word, a text and a tone.

import * as f from "./format.js";

const who = (labels) => (labels?.agent ?? "") + (labels?.team ? ` (${labels.team})` : "");
const where = (labels) => [labels?.model, labels?.account].filter(Boolean).join(" on ");
const join = (...parts) => parts.filter(Boolean).join(", ");

// waitsFor lists what is in the way of each choice of a queued reservation.
export function waitsFor(list = []) {
  const joint = (w, i) => (i === 0 ? "" : w.choice && w.choice === list[i - 1].choice ? " and " : " or ");
  return list.map((w, i) => joint(w, i) + (w.limit_id || w.other)).join("") || "its turn";
}

const sentences = {
  "reservation.granted": (d) => ["granted", "good", `${who(d.labels)}: ${f.short(f.tokens(d.amount?.tokens))} of ${where(d.labels)}`],
  "reservation.extended": (d) => ["extended", "good", `${who(d.labels)}: ${f.short(f.tokens(d.amount?.tokens))} more`],
  "reservation.renewed": (d) => ["renewed", "faint", `until ${f.clock(d.expires_at)}`],
  "reservation.expiring": (d) => ["expiring", "caution", `${who(d.labels)}: ends at ${f.clock(d.expires_at)}`],
  "reservation.preempting": (d) => ["preempting", "caution", `${who(d.labels)}: ends at ${f.clock(d.expires_at)}, team ${d.for_team} reclaims ${d.limit_id}`],
  "reservation.queued": (d) => ["queued", "strong", join(`${who(d.labels)}: place ${d.queue?.position ?? "?"} for ${f.short(f.tokens(d.amount?.tokens))}`, d.limit_id)],
  "reservation.waiting": (d) => ["waiting", "faint", waitsFor(d.waits_for)],
  "reservation.dequeued": (d) => [d.outcome === "granted" ? "dequeued" : f.words(d.outcome), d.outcome === "granted" ? "good" : "caution", `${who(d.labels)}: waited ${f.span(d.waited_ms ?? 0)}`],
  "reservation.denied": (d) => ["denied", "bad", join(`${who(d.labels)}: ${f.words(d.code)}`,
    d.limit_id && `${d.limit_id} has ${f.amount(d.available ?? 0, d.unit)} of ${f.amount(d.requested ?? 0, d.unit)}`,
    d.retryable ? d.retry_after_ms && `again in ${f.span(d.retry_after_ms)}` : "for good")],
  "reservation.closed": (d) => [f.words(d.outcome), ["expired", "revoked", "preempted"].includes(d.outcome) ? "caution" : "",
    join(`${who(d.labels)}: ${f.short(f.tokens(d.used?.tokens))} of ${f.short(f.tokens(d.granted?.tokens))} used`, d.cost_used_micro_usd && f.money(d.cost_used_micro_usd), d.reason)],
  "usage.recorded": (d) => [d.standing === "unreserved" ? "unreserved" : "used", d.overrun_tokens ? "caution" : "faint",
    join(`${who(d.labels)}: ${f.short(f.tokens(d.tokens))} of ${where(d.labels)}`, d.cost_micro_usd && f.money(d.cost_micro_usd), d.overrun_tokens && `${f.short(d.overrun_tokens)} beyond`)],
  "limit.warning": (d) => [`at ${d.threshold_percent}%`, "caution", `${d.limit_id}: ${f.amount(d.spent, d.unit)} of ${f.amount(d.capacity, d.unit)} spent`],
  "window.opened": (d) => ["opened", "faint", `${d.span?.limit_id} counts until ${f.when(d.span?.ends_at)}`],
  "window.rolled": (d) => ["reset", "", `${d.ended?.limit_id} begins anew after ${f.short(d.used)}`],
  "observation.recorded": (d) => ["observed", "faint", `${d.limit_id || [d.account, d.window].filter(Boolean).join("/")}: ${d.observation?.used_percent !== undefined ? f.percent(d.observation.used_percent) : d.observation?.signal ?? "told by the provider"}`],
  "block.placed": (d) => ["stopped", "caution", join([d.target, d.name].filter(Boolean).join(" "), d.reason)],
  "block.lifted": (d) => ["resumed", "good", [d.target, d.name].filter(Boolean).join(" ")],
  "config.applied": (d) => ["configured", "strong", d.by?.principal ? `by ${d.by.principal}` : "a new configuration holds"],
  "epoch.claimed": (d) => ["new writer", "faint", `epoch ${d.epoch}`],
  "notices.acknowledged": (d) => ["seen", "faint", `${d.by?.agent ?? d.by?.principal ?? ""} has seen its notices`],
  "suggestion.made": (d) => ["advice", "strong", d.title ?? ""],
};

export const kind = (event) => event.type.replace("io.bursar.quota.v1.", "");

// word never fails: an event of a newer version is shown by its type.
export function word(event) {
  const type = kind(event);
  try {
    const [what, tone, text] = sentences[type](event.data ?? {});
    return { what, tone, text };
  } catch {
    return { what: f.words(type.split(".").pop()), tone: "faint", text: type };
  }
}
