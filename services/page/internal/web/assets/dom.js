// Building and updating elements. Text is only ever set as text: names are chosen by agents, and none becomes markup.

// h makes an element. props: class, text, title, data-* and other attributes; undefined ones are left out.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

// text sets the text of an element, if it is another: what is not touched is not read out again.
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

// path sets the text of an element, which may break after its slashes.
export function path(element, value) {
  if (element.textContent === value) return;
  element.replaceChildren(...value.split(/(?<=\/)/).flatMap((piece, i) => (i ? [h("wbr"), piece] : [piece])));
}

// mark sets an attribute, or takes it away for an empty value.
export function mark(element, name, value) {
  if (!value) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// name isolates a name from the text around it: it may be written from right to left, or pretend to be.
export const name = (value) => h("bdi", { class: "name", text: value });

const kept = new WeakMap();

// keyed makes the children of a parent those of a list. An item with a key that was there before keeps its element, so
// that focus, open details and the place of a reader stay.
export function keyed(parent, items, key, create, fill) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map();
  if (before.size === 0) parent.replaceChildren();
  items.forEach((item, index) => {
    const id = key(item);
    const element = before.get(id) ?? create(item);
    fill(element, item);
    after.set(id, element);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
  for (const [id, element] of before) if (!after.has(id)) element.remove();
  kept.set(parent, after);
}

// table makes a table whose rows a phone shows as blocks. columns: {label, class, right, shown}. The roles are spelled
// out because a browser forgets them for what is not laid out as a table.
export function table(columns, { caption, className = "" } = {}) {
  const body = h("tbody", { role: "rowgroup" });
  const head = h("tr", { role: "row" }, ...columns.map((column) =>
    h("th", { role: "columnheader", scope: "col", class: [column.class, column.right && "right"].filter(Boolean).join(" ") || undefined, text: column.label })));
  const element = h("table", { role: "table", class: `blocks ${className}`.trim() },
    caption && h("caption", { class: "sr-only", text: caption }), h("thead", { role: "rowgroup" }, head), body);
  const row = () => {
    const cells = columns.map((column, index) => index === 0
      ? h("th", { role: "rowheader", scope: "row", class: column.class })
      : h("td", { role: "cell", "data-label": column.label, class: [column.class, column.right && "right"].filter(Boolean).join(" ") || undefined }));
    return h("tr", { role: "row" }, ...cells);
  };
  return { element, body, row };
}

// cell sets a cell to a text, with a dash where there is nothing to say.
export function cell(td, value, title) {
  text(td, value || "–");
  td.classList.toggle("none", !value);
  mark(td, "title", title);
}

// bar makes a bar of parts: [{kind, share}] in percent. It is for the eye; the figures are beside it.
export function bar() { return h("span", { class: "bar", "aria-hidden": "true" }); }

export function fillBar(element, parts) {
  let left = 100;
  const shown = parts.map((part) => {
    const share = Math.max(0, Math.min(left, part.share));
    left -= share;
    return { ...part, share };
  }).filter((part) => part.share > 0);
  keyed(element, shown, (part) => part.kind, (part) => h("i", { class: part.kind }),
    (i, part) => i.style.setProperty("--share", part.share.toFixed(3)));
}
