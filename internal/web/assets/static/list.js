// The list of runs: filtered while one types, its state in the address.
import { renew } from "./renew.js";

export function list() {
  const input = document.getElementById("q");
  if (!input) return;
  document.body.classList.add("scripted");
  let typing = false; // since the last entry of the history

  input.addEventListener("input", () => {
    const to = here();
    set(to, "q", input.value.trim());
    to.searchParams.delete("page");
    history[typing ? "replaceState" : "pushState"](null, "", to);
    typing = true;
    renew(to.href, "#list");
  });
  input.addEventListener("blur", () => (typing = false));
  document.getElementById("find").addEventListener("submit", (e) => {
    e.preventDefault();
    typing = false;
    document.querySelector(".runs tbody a")?.focus();
  });

  // A column's head or another page, without a page load; what is to be opened elsewhere is left to the browser.
  document.addEventListener("click", (e) => {
    const a = e.target.closest?.("#list thead a, #list nav a, #list .bar a");
    if (!a || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
    e.preventDefault();
    history.pushState(null, "", a.href);
    input.value = new URL(a.href).searchParams.get("q") ?? "";
    const forward = a.closest("nav");
    renew(a.href, "#list").then((done) => done && forward && document.getElementById("list").scrollIntoView());
  });

  document.addEventListener("change", (e) => {
    if (e.target.name !== "run") return;
    const to = here();
    to.searchParams.delete("run");
    for (const box of document.querySelectorAll("#list input[name=run]:checked")) to.searchParams.append("run", box.value);
    history.replaceState(null, "", to);
    renew(to.href, "#list");
  });

  window.addEventListener("popstate", () => {
    typing = false;
    input.value = here().searchParams.get("q") ?? "";
    renew(location.href, "#list");
  });
  window.addEventListener("pageshow", (e) => {
    if (e.persisted) renew(location.href, "#list"); // from the browser's own memory: it may be old
  });
}

function here() {
  return new URL(location.href);
}

function set(address, name, value) {
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
}
