// What the dashboard has beside its figures.
for (const hidden of document.querySelectorAll(".how,#theme")) hidden.hidden = false;
document.getElementById("theme").onclick = () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
};
for (const figure of document.querySelectorAll("figure")) new Chart(figure);
