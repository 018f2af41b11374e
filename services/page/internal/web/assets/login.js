// Logging in: by the code behind "#" of a link, or by the token.

const form = document.getElementById("login"), note = document.getElementById("login-note");

async function login(fields) {
  try {
    const response = await fetch("/login", { method: "POST", body: new URLSearchParams(fields) });
    if (response.ok) { location.replace("/"); return; }
    const body = await response.json();
    note.textContent = `Not logged in: ${body.error.message}.`;
  } catch {
    note.textContent = "Bursar does not answer. Try again in a moment.";
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  login({ token: form.elements.token.value });
});

if (location.hash.length > 1) {
  const code = location.hash.slice(1);
  history.replaceState(null, "", location.pathname); // so that it stays in no history
  note.textContent = "Logging in…";
  login({ code });
}
