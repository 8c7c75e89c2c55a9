"use strict";
(() => {
  const data = JSON.parse(document.getElementById("screen-data").textContent);
  const slider = document.getElementById("strength");
  const text = document.getElementById("strength-text");
  const own = document.getElementById("own");
  const panels = data.panels.map((panel, k) => ({ ...panel, box: document.getElementById(`panel-${k}`) }));
  const moving = panels.filter((panel) => panel.moves);
  const part = (panel, name) => panel.box.querySelector(name);

  function fill(panel, fit) {
    const missing = part(panel, ".missing"), filled = part(panel, ".filled");
    missing.hidden = !fit.missing;
    filled.hidden = Boolean(fit.missing);
    missing.textContent = fit.missing || "";
    part(panel, ".knob").textContent = fit.knob || "";
    if (fit.missing) return;
    const loss = part(panel, ".split .loss"), penalty = part(panel, ".split .penalty");
    loss.style.width = `${100 * (1 - fit.share)}%`;
    penalty.style.width = `${100 * fit.share}%`;
    part(panel, ".split").setAttribute("aria-label", `loss ${fit.loss}, penalty ${fit.penalty}`);
    Drawing.words(part(panel, ".sum"), [[`${fit.cost} = `], [`loss ${fit.loss}`, "loss"], [" + "],
      [panel.sum ? `λ${panel.sum} ${fit.penalty}` : `penalty ${fit.penalty}`, "penalty"]]);
    const zeros = part(panel, ".zeros");
    zeros.textContent = fit.zeros_text;
    zeros.classList.toggle("some", fit.zeros > 0);
    part(panel, ".of").textContent = fit.share_text;
    part(panel, ".held").textContent = `${data.held_out} ${data.score}`;
    part(panel, ".score").textContent = fit.score;
    part(panel, ".train").textContent = `training ${fit.train_score}`;
    if (fit.hist) Drawing.histogram(part(panel, ".hist"), fit, data); else part(panel, ".hist").replaceChildren();
    Drawing.firstLayer(part(panel, ".first"), fit.first, data.layer);
  }

  function show() {
    const index = Number(slider.value), alone = own.getAttribute("aria-pressed") === "true";
    const value = data.strengths.length ? String(data.strengths[index]) : "—";
    text.textContent = alone ? "own" : value;
    slider.setAttribute("aria-valuetext", `λ = ${value}`);
    for (const panel of panels) {
      const at = !panel.moves ? 0 : alone && panel.chosen !== null ? panel.chosen : index;
      fill(panel, panel.tries[at] || { missing: "not run yet" });
    }
    try { sessionStorage.setItem(location.pathname, `${index},${alone}`); } catch { /* private */ }
  }

  const marks = document.getElementById("marks"), last = Math.max(1, data.strengths.length - 1);
  data.strengths.forEach((_, k) => {
    const tick = document.createElement("s");
    tick.style.left = `${100 * k / last}%`;
    marks.append(tick);
  });
  const stacked = {};
  for (const panel of moving.filter((p) => p.chosen !== null)) {
    const mark = document.createElement("i"), before = stacked[panel.chosen] || 0;
    stacked[panel.chosen] = before + 1;
    mark.style.left = `calc(${100 * panel.chosen / last}% + ${(panel.chosen === last ? -11 : 11) * before}px)`;
    mark.style.background = panel.colour;
    mark.title = `${panel.label}: λ = ${data.strengths[panel.chosen]}`;
    marks.append(mark);
  }
  document.getElementById("layer-note").hidden = !data.layer || data.layer.kind === "columns";
  if (data.strengths.length < 2) slider.disabled = true;
  try {
    const [index, alone] = (sessionStorage.getItem(location.pathname) || "").split(",");
    if (index && Number(index) < data.strengths.length) slider.value = index;
    if (alone === "true") own.setAttribute("aria-pressed", "true");
  } catch { /* private */ }
  slider.addEventListener("input", () => { own.setAttribute("aria-pressed", "false"); show(); });
  own.addEventListener("click", () => {
    own.setAttribute("aria-pressed", String(own.getAttribute("aria-pressed") !== "true"));
    show();
  });
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; show(); } });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
})();
