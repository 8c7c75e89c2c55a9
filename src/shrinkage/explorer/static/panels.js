// The columns: a card per network outside (cost, zeros, weights, first layer) and inside.

import { paint } from "./ink.js";
import * as draw from "./pictures.js";
import { count, fixed, percent, score, toMark, toStrength } from "./words.js";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "colour") made.style.setProperty("--colour", value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function picture(kind, label, title) {
  return element("div", { class: "picture", "data-picture": kind },
    element("h3", {}, title), element("canvas", { role: "img", "aria-label": label }));
}

export class Panels {
  constructor(hello, send) {
    this.hello = hello;
    this.send = send;
    this.seen = new WeakMap();
    this.watch = new IntersectionObserver((entries) => {
      for (const entry of entries) this.seen.set(entry.target, entry.isIntersecting);
      if (entries.some((entry) => entry.isIntersecting)) this.onSeen?.();
    }, { rootMargin: "120px" });
    this.names = [];
  }

  column(name) {
    return this.hello.columns.find((column) => column.name === name);
  }

  // Make the cards anew where the columns have changed.
  build(names) {
    if (names.join() === this.names.join()) return;
    this.names = names;
    this.watch.disconnect();
    const outside = document.getElementById("outside"), inside = document.getElementById("inside");
    outside.replaceChildren(...names.map((name, k) => this.outsideCard(name, k, names)));
    inside.replaceChildren(...names.map((name) => this.insideCard(name)));
    for (const box of [outside, inside]) box.style.setProperty("--count", names.length);
    for (const canvas of document.querySelectorAll("#outside canvas, #inside canvas")) this.watch.observe(canvas);
  }

  outsideCard(name, place, names) {
    const { colour, label } = this.column(name), { first } = this.hello;
    const kind = element("select", { "aria-label": `what column ${place + 1} does` },
      ...this.hello.columns.filter((c) => c.name === name || !names.includes(c.name))
        .map((c) => element("option", c.name === name ? { value: c.name, selected: "" } : { value: c.name }, c.label)));
    kind.addEventListener("change", () =>
      this.send({ do: "change", changes: { columns: names.map((n, k) => (k === place ? kind.value : n)) } }));
    const card = element("article", { class: "panel", id: `column-${name}`, colour },
      element("h2", {}, element("i", { class: "dot" }), kind, element("span", { class: "knob" })));
    if (this.column(name).knob !== "learning rate") card.append(this.ownDial(this.column(name)));
    card.append(
      this.stopped(name),
      element("div", { class: "split", role: "img", "data-picture": "cost" }, element("i", { class: "loss" }), element("i", { class: "penalty" })),
      element("p", { class: "sum" }),
      element("dl", { class: "big" },
        element("div", {}, element("dt", {}, "exact zeros"), element("dd", {}, element("b", { class: "zeros" }, "—"), element("span", { class: "of" }))),
        element("div", {}, element("dt", { class: "held" }, "held out"), element("dd", {}, element("b", { class: "score" }, "—"), element("span", { class: "train" })))),
      picture("weights", `${label}: histogram of its weights`, "weights"));
    if (first) card.append(first.kind === "columns" ? "" : picture("first", `${label}: ${first.title}`, first.title));
    if (first && first.kind !== "kernels") card.append(picture("pixels", `${label}: inputs by the sum of their weights`, first.kind === "columns" ? "input columns by Σ|w|" : "pixels by Σ|w|"));
    this.listen(card, name);
    return card;
  }

  // Why a column stands still, and the way on.
  stopped(name) {
    const wake = element("button", { type: "button", title: "starts again from its initial weights" }, "Wake it");
    wake.addEventListener("click", () => this.send({ do: "wake", column: name }));
    return element("div", { class: "stopped", role: "status", hidden: "" }, element("span"), wake);
  }

  ownDial({ name, symbol, label, most }) {
    const dial = element("input", { type: "range", class: "own", min: 0, max: most === null ? 49 : Math.round(100 * most), step: 1, "aria-label": `${symbol} of ${label}` });
    dial.addEventListener("input", () => {
      this.send({ do: "change", changes: { knobs: { [name]: most === null ? toStrength(Number(dial.value)) : Number(dial.value) / 100 } } }, `knob ${name}`);
    });
    return dial;
  }

  insideCard(name) {
    const { colour, label } = this.column(name);
    const card = element("article", { class: "panel", colour, "data-column": name },
      element("h2", {}, element("i", { class: "dot" }), label),
      picture("links", `${label}: connections that are not zero, layer by layer`, "connections"),
      picture("step", `${label}: what the penalty takes in one step, against the weight`, "what one step takes, by weight"),
      picture("active", `${label}: each filter's share of its layer's activation`, "activation share per filter"));
    this.listen(card, name);
    return card;
  }

  // Clicks on pictures ask for stories.
  listen(card, name) {
    const { first, layers } = this.hello;
    const on = (kind, read) => card.querySelector(`[data-picture=${kind}] canvas`)?.addEventListener("click", (event) => {
      const box = event.target.getBoundingClientRect();
      const found = read(event.clientX - box.left, event.clientY - box.top, box.width);
      this.clicked = { canvas: event.target, column: name };
      if (found) this.send({ do: "select", ...found });
    });
    on("weights", (x, _, width) => {
      const lane = this.lane(name);
      return lane && { kind: "size", column: name, ...draw.binAt(x, width, { bins: lane.bins, edge: this.glance.edge }) };
    });
    on("first", (x, y, width) => {
      const t = draw.tileAt(x, y, width, first);
      return t < 0 ? null : { kind: "unit", parameter: first.path, index: t };
    });
    on("links", (x, y, width) => draw.linkAt(x, y, width, layers));
    on("active", (x, y, width) => this.unitAt(name, x, y, width));
  }

  unitAt(name, x, y, width) {
    const shown = Object.entries(this.look?.lanes[name]?.active || {});
    const found = shown[Math.floor((y / draw.activeHeight(shown.length)) * shown.length)];
    const layer = found && this.hello.layers.find((l) => l.name.startsWith(`${found[0]}.`));
    return layer ? { kind: "unit", parameter: layer.path, index: Math.floor((x / width) * found[1].length) } : null;
  }

  lane(name) {
    return this.glance?.lanes.find((lane) => lane.name === name);
  }

  show(view) {
    [this.glance, this.look] = [view.glance, view.look];
    if (!view.glance) return;
    const most = Math.max(10, ...view.glance.lanes.flatMap((lane) => [lane.zeros, ...lane.bins]));
    for (const lane of view.glance.lanes) {
      const card = document.getElementById(`column-${lane.name}`);
      if (card) this.showOutside(card, lane, view, most);
      const inner = document.querySelector(`#inside [data-column=${lane.name}]`);
      if (inner) this.showInside(inner, lane, view);
    }
  }

  showOutside(card, lane, view, most) {
    const { column, hello } = { column: this.column(lane.name), hello: this.hello };
    const stand = view.look?.lanes[lane.name], part = (name) => card.querySelector(name);
    const isStrength = column.knob === "strength";
    part(".knob").textContent = isStrength || column.most !== null ? `${column.symbol} = ${lane.knob}` : "";
    const own = part(".own");
    if (own) {
      own.hidden = isStrength && view.linked;
      if (isStrength) own.max = view.last;
      if (document.activeElement !== own) own.value = isStrength ? toMark(lane.knob) : Math.round(100 * lane.knob);
    }
    const why = lane.note || stand?.asleep || "";
    part(".stopped").hidden = !why;
    part(".stopped").classList.toggle("early", Boolean(lane.note) && !lane.failed);
    if (part(".stopped span").textContent !== why) part(".stopped span").textContent = why;
    part(".stopped button").textContent = lane.note ? "Start it again" : "Wake it";
    this.showCost(card, lane, stand, column);
    const zeros = part(".zeros");
    zeros.textContent = percent(lane.zeros / lane.size);
    zeros.dataset.count = lane.zeros;
    zeros.classList.toggle("some", lane.zeros > 0);
    part(".of").textContent = `${count(lane.zeros)} of ${count(lane.size)}`;
    if (stand) {
      part(".held").textContent = `held-out ${stand.score_name}`;
      // A network that has failed has no score: the last one is of before.
      const [held, train] = lane.failed ? [null, null] : [stand.held_score, stand.train_score];
      part(".score").textContent = score(stand.score_name, held);
      part(".train").textContent = `training ${score(stand.score_name, train)}`;
    }
    const chosen = view.state.telling && view.look?.story?.unit && view.look.story.parameter === hello.first?.path ? view.look.story.index : -1;
    this.draw(card, "weights", () => 128, (pen, w, h) =>
      draw.histogram(pen, w, h, { bins: lane.bins, zeros: lane.zeros, most, edge: view.glance.edge, colour: column.colour }));
    if (lane.first !== null && hello.first && hello.first.kind !== "columns") {
      this.draw(card, "first", (w) => draw.tileGrid(w, hello.first).height, (pen, w) => draw.tiles(pen, w, lane.first, hello.first, chosen));
    }
    if (lane.pixels && hello.first.kind === "neurons") {
      this.draw(card, "pixels", () => 86, (pen, w, h) => draw.pixels(pen, w, h, lane.pixels, hello.first.image));
    } else if (lane.pixels) {
      const names = hello.first.names_all, order = names.map((_, k) => k).slice(0, 30);
      this.draw(card, "pixels", () => 13 * order.length, (pen, w, h) => draw.inputs(pen, w, h, lane.pixels, names, order));
    }
  }

  showCost(card, lane, stand, column) {
    const known = stand && !lane.failed, loss = known ? stand.train : null, penalty = known ? lane.penalty : null, cost = loss === null || penalty === null ? null : loss + penalty;
    const share = cost ? penalty / cost : 0;
    card.querySelector(".split .loss").style.flexGrow = 1 - share;
    card.querySelector(".split .penalty").style.flexGrow = share;
    const words = [[cost === null ? "cost — " : `cost ${fixed(cost)} = `, ""], [`loss ${fixed(loss)}`, "loss"]];
    if (column.penalty) words.push([" + ", ""], [`λ·${column.penalty} ${fixed(penalty)}`, "penalty"]);
    card.querySelector(".sum").replaceChildren(...words.map(([text, kind]) => element("span", kind ? { class: kind } : {}, text)));
  }

  showInside(card, lane, view) {
    const { colour, penalty, label, most } = this.column(lane.name), { layers } = this.hello;
    this.draw(card, "links", () => draw.linksHeight(layers), (pen, w, h) => draw.links(pen, w, h, lane.layers, layers, colour));
    const stand = view.look?.lanes[lane.name];
    if (!stand) return;
    const none = !penalty ? (most !== null ? `${label} is no penalty` : "no penalty") : stand.curve.knob.at(-1) ? "no weight left" : "λ is 0";
    this.draw(card, "step", () => 118, (pen, w, h) => draw.step(pen, w, h, stand.dots, { colour, lr: view.state.controls.lr, none }));
    const rows = Object.keys(stand.active).length;
    this.draw(card, "active", () => draw.activeHeight(rows), (pen, w) => draw.active(pen, w, stand.active, colour));
  }

  draw(card, kind, height, drawing) {
    const canvas = card.querySelector(`[data-picture=${kind}] canvas`);
    if (canvas && this.seen.get(canvas) !== false) paint(canvas, height(canvas.clientWidth), drawing);
  }
}
