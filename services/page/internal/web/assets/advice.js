// Suggestions with what they rest on.

import { h, byId, keyed, name } from "./dom.js";
import * as f from "./format.js";

const bases = {
  avoidable_spend: "that need not have been spent", freed_budget: "of budget that was held and never used", delayed_work: "of work that was refused",
  bounded_risk: "of what limits allow beyond the need",
};

const figure = (evidence) => {
  switch (evidence.unit) {
    case "micro_usd": return f.money(evidence.value);
    case "percent": return f.percent(evidence.value);
    case "hours": return f.plural(evidence.value, "hour");
    case "tokens": return `${f.short(evidence.value)} tokens`;
    default: return f.count(evidence.value);
  }
};

const range = ({ low_micro_usd: low, high_micro_usd: high }) => (low === high ? `${f.money(low)}, of one day and so without an interval` : `${f.money(low)} to ${f.money(high)} with 95% confidence`);

function make(s) {
  const title = h("h3", {}, name(s.title));
  title.id = "advice-" + s.suggestion_id;
  const facts = h("dl", { class: "facts" },
    h("div", {}, h("dt", { text: "confidence" }), h("dd", { text: f.confidence(s.confidence_percent) })),
    ...(s.evidence ?? []).map((e) => h("div", {}, h("dt", { text: f.words(e.name) }), h("dd", { text: figure(e) }))));
  const card = h("article", { class: "card suggestion", "aria-labelledby": title.id },
    h("header", {}, title, h("span", { class: "saving", text: f.money(s.saving_micro_usd) })),
    h("p", { class: "faint", text: [bases[s.saving_basis] ?? f.words(s.saving_basis), `from ${f.dayOf(s.window_starts_at)} to ${f.dayOf(s.window_ends_at)}`].join(", ") }),
    h("p", {}, name(s.advice)), facts);
  const left = s.beside_micro_usd;
  if (left !== undefined && left < s.saving_micro_usd) {
    card.append(h("p", { class: "proof" }, h("strong", { text: "Overlaps: " }),
      `${left > 0 ? f.money(left) : "nothing"} of it is left once what is listed before it is followed.`));
  }
  if (s.backtest) {
    card.append(h("p", { class: "proof" }, h("strong", { text: "Back-tested: " }),
      `${f.plural(s.backtest.days?.length ?? 0, "day")} with ${f.plural(s.backtest.jobs, "task")} run again with the change: ${range(s.backtest)}.`));
    if (s.backtest.assumptions?.length) {
      card.append(h("details", {}, h("summary", { text: "What the back-test assumes" }), h("ul", { class: "bullets" }, ...s.backtest.assumptions.map((line) => h("li", {}, name(line))))));
    }
  }
  if (s.realised) {
    card.append(h("p", { class: "proof" }, h("strong", { text: "Since it was told: " }),
      `${f.money(s.realised.saved_micro_usd)} saved of ${f.money(s.realised.promised_micro_usd)} promised, in ${f.plural(s.realised.days, "day")}.`));
  }
  if (s.occurrences?.length) {
    card.append(h("details", {}, h("summary", { text: `${f.plural(s.occurrences.length, "agent")} concerned` }),
      h("ul", { class: "bullets" }, ...s.occurrences.map((o) => h("li", {}, name([o.agent || o.principal, o.team && `(${o.team})`].filter(Boolean).join(" ")), ` ${f.plural(o.count, "time")}, last ${f.when(o.last_at)}`)))));
  }
  return card;
}

export function showAdvice(list) {
  const parent = byId("suggestions");
  const suggestions = list.suggestions ?? [];
  if (suggestions.length === 0) {
    keyed(parent, [], () => "", make, () => {});
    parent.replaceChildren(h("p", { class: "card faint", text: "Nothing to suggest. Advice comes once there is enough usage to go by." }));
    return;
  }
  // The figures are part of the key: advice whose figures changed is made anew.
  keyed(parent, suggestions, (s) => [s.suggestion_id, s.updated_at, s.beside_micro_usd].join(), make, () => {});
}
