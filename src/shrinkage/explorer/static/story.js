// The story of a weight or a unit: its way, its gradient beside its price, and a sentence each.

import { way } from "./charts.js";
import { paint } from "./ink.js";
import { num } from "./words.js";

export class Story {
  constructor(hello, send) {
    this.hello = hello;
    this.box = document.getElementById("story");
    this.box.innerHTML = `<div class="head"><h2></h2><button type="button" aria-label="close the story">×</button></div>
      <div class="told"><div class="way"><canvas role="img" aria-label="its value over time in every column"></canvas><p class="note"></p></div><ul></ul></div>`;
    this.box.querySelector("button").addEventListener("click", () => { this.box.hidden = true; send({ do: "select" }); });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.box.hidden) this.box.querySelector("button").click();
    });
  }

  show({ state, glance, look }, clicked) {
    const story = state.telling ? look?.story : null;
    this.box.hidden = !story;
    document.body.classList.toggle("telling", Boolean(story));
    if (!story) {
      this.shown = null;
      return;
    }
    this.box.querySelector("h2").textContent = story.where;
    const columns = this.hello.columns.filter((column) => story.told[column.name]);
    const rows = glance.lanes.filter((lane) => story.told[lane.name]).map((lane) =>
      this.row(columns.find((c) => c.name === lane.name), story.told[lane.name], story.unit, clicked?.column));
    this.box.querySelector("ul").replaceChildren(...rows);
    this.box.querySelector(".note").textContent =
      `Slopes on ${story.n.toLocaleString("en")} of ${story.of.toLocaleString("en")} training examples. ` +
      (story.unit ? "The curve is the norm of its weights." : "");
    const lanes = glance.lanes.filter((lane) => glance.series[lane.name]).map((lane) => ({
      series: glance.series[lane.name], colour: this.hello.columns.find((c) => c.name === lane.name).colour }));
    paint(this.box.querySelector("canvas"), 120, (pen, w, h) => way(pen, w, h, lanes));
    if (this.shown !== story.where && clicked) this.uncover(clicked.canvas);
    this.shown = story.where;
  }

  // What was clicked stays in sight, above the story.
  uncover(canvas) {
    const { top, bottom } = canvas.getBoundingClientRect();
    const over = bottom + 10 - this.box.getBoundingClientRect().top;
    const room = top - document.querySelector(".bar").getBoundingClientRect().bottom - 10;
    if (over > 0) window.scrollBy({ top: Math.min(over, room), behavior: "smooth" });
  }

  row(column, told, unit, clicked) {
    const row = document.createElement("li");
    row.style.setProperty("--colour", column.colour);
    row.dataset.column = column.name;
    row.classList.toggle("clicked", column.name === clicked);
    const parts = [["b", column.label], ["span", told.is_zero ? "= 0" : `${unit ? "‖w‖" : "w"} = ${num(told.value)}`],
      ["span", `${unit ? "‖∂loss/∂w‖" : "∂loss/∂w"} = ${num(told.gradient)}`]];
    if (told.price) parts.push(["span", `threshold ${num(told.price)}`]);
    const head = document.createElement("p");
    head.className = "facts";
    head.append(...parts.map(([tag, text]) => Object.assign(document.createElement(tag), { textContent: text })));
    if (told.is_zero) head.children[1].className = "zero";
    row.append(head, Object.assign(document.createElement("p"), { className: "sentence", textContent: told.sentence }));
    return row;
  }
}
