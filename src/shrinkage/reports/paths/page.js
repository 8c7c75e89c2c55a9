"use strict";
(() => {
  const data = JSON.parse(document.getElementById("screen-data").textContent);
  const slider = document.getElementById("strength");
  const curve = document.getElementById("curve");
  const panels = document.getElementById("panels");
  const part = (name) => panels.querySelector(name);
  const kinds = ["fit", "refit"];
  const points = data.points;

  function at(index, width) {
    return points.length < 2 ? width / 2 : 8 + (width - 16) * index / (points.length - 1);
  }

  // Score (lines) and share of the weights left (area) over the points, above the slider's track.
  function strip() {
    const width = curve.clientWidth, height = curve.clientHeight, top = 20, floor = height - 6;
    const known = points.flatMap((point) => point.held).filter((value) => value !== null);
    const low = Math.min(...known), high = Math.max(...known);
    const y = (value) => high > low ? floor - 4 - (floor - top - 8) * (value - low) / (high - low) : (floor + top) / 2;
    const svg = Drawing.svg("svg", { viewBox: `0 0 ${width} ${height}` });
    const put = (name, attributes, text) => svg.append(Drawing.svg(name, attributes, text));
    const tall = (point) => floor - (floor - top) * point.left;
    const along = points.map((point, k) => [k, point]).filter(([, point]) => !point.apart);
    const outline = along.map(([k, point]) => `${at(k, width)},${tall(point)}`);
    put("polygon", { class: "area", points: `${at(0, width)},${floor} ${outline.join(" ")} ${at(along.length - 1, width)},${floor}` });
    const beside = points.map((point, k) => [k, point]).filter(([, point]) => point.apart);
    beside.forEach(([k, point]) => {
      const from = (at(k - 1, width) + at(k, width)) / 2, to = at(k, width) + 4;
      put("rect", { class: "area", x: from, y: tall(point), width: to - from, height: floor - tall(point) });
    });
    if (data.chosen && data.chosen.final) {
      const x = at(data.chosen.index, width);
      put("line", { class: "chosen", x1: x, x2: x, y1: top - 4, y2: floor });
    }
    const now = Number(slider.value), x = at(now, width);
    put("line", { class: "cursor", x1: x, x2: x, y1: top - 4, y2: floor });
    data.families.forEach((_, f) => {
      const line = along.map(([k, point]) => [k, point.held[f]]).filter(([, value]) => value !== null);
      beside.filter(([, point]) => point.held[f] !== null).forEach(([k, point]) =>
        put("circle", { class: kinds[f], cx: at(k, width), cy: y(point.held[f]), r: 3 }));
      put("polyline", { class: `line ${kinds[f]}`, points: line.map(([k, value]) => `${at(k, width)},${y(value)}`).join(" ") });
      if (points[now].held[f] !== null) put("circle", { class: kinds[f], cx: x, cy: y(points[now].held[f]), r: 4.5 });
    });
    if (data.chosen && data.chosen.final && data.chosen.family !== null) {
      const { index, family } = data.chosen, held = points[index].held[family];
      if (held !== null) put("circle", { class: `ring ${kinds[family]}`, cx: at(index, width), cy: y(held), r: 8 });
    }
    const key = Drawing.svg("text", { x: 8, y: 11 });
    const word = (text, kind) => { const span = Drawing.svg("tspan", kind ? { class: kind } : {}, text); key.append(span); };
    word(`${data.held_out} ${data.score}: `);
    data.families.forEach((name, f) => word(`${f ? ", " : ""}${name}`, `key-${kinds[f]}`));
    word("; grey: share of weights left");
    svg.append(key);
    curve.replaceChildren(svg);
  }

  function scores(point) {
    const row = (cells, name) => {
      const line = document.createElement("tr");
      cells.forEach((text, k) => {
        const cell = document.createElement(k && name === "td" ? "td" : "th");
        cell.textContent = text;
        line.append(cell);
      });
      return line;
    };
    part(".scores thead").replaceChildren(row([data.score, ...data.families], "th"));
    part(".scores tbody").replaceChildren(...data.parts.map((name, k) =>
      row([name, ...point.scores.map((family) => family[k])], "td")));
  }

  function layers(point) {
    part(".layers").replaceChildren(...point.layers.map((layer) => {
      const box = document.createElement("div"), name = document.createElement("span");
      const count = document.createElement("b"), track = document.createElement("em"), bar = document.createElement("i");
      name.textContent = name.title = layer.name;
      count.textContent = layer.text;
      bar.style.width = layer.share ? `max(1px, ${100 * layer.share}%)` : "0";
      track.append(bar);
      box.append(name, count, track);
      return box;
    }));
  }

  function fill(point) {
    part(".split .loss").style.width = `${100 * (1 - point.share)}%`;
    part(".split .penalty").style.width = `${100 * point.share}%`;
    part(".split").setAttribute("aria-label", `loss ${point.loss}, penalty ${point.penalty}`);
    Drawing.words(part(".sum"), [[`${point.cost} = `], [`loss ${point.loss}`, "loss"], [" + "],
      [`penalty ${point.penalty}`, "penalty"]]);
    const first = data.families.length > 1 && !point.name ? `, ${data.families[0]}` : "";
    part(".held").textContent = `${data.held_out} ${data.score}${first}`;
    part(".score").textContent = point.score;
    part(".inputs").textContent = point.inputs || "—";
    part(".rest").textContent = point.rest;
    const zeros = part(".zeros");
    zeros.textContent = point.zeros_text;
    zeros.classList.toggle("some", point.left < 1);
    part(".of").textContent = point.share_text;
    if (point.hist) Drawing.histogram(part(".hist"), point, data); else part(".hist").replaceChildren();
    scores(point);
    layers(point);
    if (data.layer) Drawing.firstLayer(part(".first"), point.first, data.layer);
  }

  function show() {
    const point = points[Number(slider.value)];
    const name = point.name ? `${point.scale} or more, ${point.name}` : point.scale;
    document.getElementById("strength-text").textContent = name;
    slider.setAttribute("aria-valuetext", `λ = ${name}`);
    strip();
    fill(point);
    try { sessionStorage.setItem(location.pathname, point.name + point.scale); } catch { /* private */ }
  }

  function copied(button, done) {
    const before = button.textContent;
    button.dataset.copied = String(done);
    button.textContent = done ? "copied" : "select the table and copy it by hand";
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  async function copy(button) {
    const text = JSON.parse(document.getElementById("rows-data").textContent);
    try {
      await navigator.clipboard.writeText(text);
      copied(button, true);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      copied(button, document.execCommand("copy"));
      area.remove();
    }
  }

  document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", () => copy(button)));
  const columns = data.layer && data.layer.kind === "columns";
  document.getElementById("first-panel").hidden = !data.layer;
  document.getElementById("layer-note").hidden = !data.layer || columns;
  document.getElementById("columns-note").hidden = !columns;
  if (!points.length) {
    document.getElementById("screen").hidden = true;
    return;
  }
  if (points.length < 2) slider.disabled = true;
  try {
    const kept = points.findIndex((point) => point.name + point.scale === sessionStorage.getItem(location.pathname));
    if (kept >= 0) slider.value = kept;
  } catch { /* private */ }
  const own = document.getElementById("own");
  own.addEventListener("click", () => { slider.value = data.chosen.index; show(); });
  slider.addEventListener("input", show);
  curve.addEventListener("click", (event) => {
    const box = curve.getBoundingClientRect();
    slider.value = Math.round((event.clientX - box.left - 8) / (box.width - 16) * (points.length - 1));
    show();
  });
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; show(); } });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
})();
