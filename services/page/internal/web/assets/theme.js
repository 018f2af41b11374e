// The choice of light or dark, which stays with the browser.

const place = "bursar-theme";
const choices = ["auto", "light", "dark"];

export function theme(select, onChange) {
  let chosen = "auto";
  try { chosen = localStorage.getItem(place) ?? "auto"; } catch { /* storage is off: it is chosen anew each time */ }
  const show = (value) => {
    const known = choices.includes(value) ? value : "auto";
    document.documentElement.dataset.theme = known;
    select.value = known;
    onChange();
  };
  show(chosen);
  select.addEventListener("change", () => {
    show(select.value);
    try { localStorage.setItem(place, select.value); } catch { /* as above */ }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
}

// colour resolves a colour of the style sheet as it is now.
export function colour(variable) {
  const probe = document.getElementById("probe");
  probe.style.color = `var(${variable})`;
  return getComputedStyle(probe).color;
}
