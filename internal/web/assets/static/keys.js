// Keys, for those who do not want the mouse. None acts while one types.
const places = { r: "/", a: "/ab", s: "/sweeps", b: "/baselines", p: "/profiles", n: "/now" };

export function keys() {
  const help = document.getElementById("help");
  const button = document.getElementById("keys");
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
  let going = 0; // when g was pressed

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || help.open) return;
    const field = document.getElementById("q");
    if (e.key === "Escape" && document.activeElement === field) {
      field.blur();
      return;
    }
    if (e.target.closest?.("input:not([type=checkbox]), select, textarea")) return;
    if (e.timeStamp - going < 1500 && places[e.key]) {
      location.href = places[e.key];
      return;
    }
    going = e.key === "g" ? e.timeStamp : 0;
    switch (e.key) {
      case "/":
        if (!field) location.href = "/";
        field?.select();
        field?.focus();
        break;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "x": row()?.querySelector("input")?.click(); break;
      case "c": document.getElementById("compare")?.click(); break;
      case "?": help.showModal(); break;
      default: return;
    }
    e.preventDefault();
  });
}

const row = () => document.activeElement?.closest?.("tr[data-id]");

function step(by) {
  const rows = [...document.querySelectorAll("tr[data-id]")];
  const at = rows.indexOf(row());
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.querySelector("a")?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
