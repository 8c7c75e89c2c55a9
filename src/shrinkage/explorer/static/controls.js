// The dial, the transport and the settings: what is turned goes out, what the server says comes in.

import { num, ticks, toMark, toStrength } from "./words.js";

const $ = (id) => document.getElementById(id);
const REST = 500; // ms after the last touch before the server's values are shown again

export class Controls {
  constructor(hello, send) {
    this.send = send;
    this.hello = hello;
    this.touched = new Map();
    this.form = $("controls");
    this.end = hello.dial_end;
    this.form.elements.optimizer.replaceChildren(...hello.optimizers.map((name) => new Option(name)));
    this.transport();
    this.dial();
    this.settings();
  }

  get linked() {
    return $("linked").checked;
  }

  transport() {
    $("play").addEventListener("click", () => this.send({ do: this.playing ? "pause" : "play" }));
    $("step").addEventListener("click", () => this.send({ do: "step" }));
    $("epoch").addEventListener("click", () => this.send({ do: "epoch" }));
    $("reset").addEventListener("click", () => this.send({ do: "reset", seed: this.form.elements.seed.value || null }));
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input, select, button, summary, a");
      if (event.key === " " && !typing) {
        event.preventDefault();
        $("play").click();
      }
    });
  }

  dial() {
    const dial = $("strength");
    dial.addEventListener("input", () => {
      this.touch("strength");
      this.showStrength(toStrength(Number(dial.value)));
      this.send({ do: "change", changes: { strength: toStrength(Number(dial.value)) } }, "strength");
    });
    $("dial-end").addEventListener("change", (event) => { this.end = Number(event.target.value); this.span(); this.onLinked?.(); });
    this.span();
    $("linked").addEventListener("change", () => {
      if (this.linked) this.send({ do: "change", changes: { strength: toStrength(Number(dial.value)) } });
      this.onLinked?.();
    });
  }

  // The last mark of every dial of λ.
  get last() {
    return toMark(this.end);
  }

  // Labels below the dial, where its thumb stands at these marks.
  span() {
    $("strength").max = this.last;
    $("dial-end").value = this.end;
    $("dial").querySelector(".ticks").replaceChildren(...ticks(this.end).map(([mark, name]) => {
      const tick = Object.assign(document.createElement("span"), { textContent: name });
      tick.style.setProperty("--at", mark / this.last);
      return tick;
    }));
  }

  settings() {
    this.form.addEventListener("submit", (event) => event.preventDefault());
    for (const name of ["train_size", "label_noise"]) {
      this.form.elements[name].addEventListener("input", (event) => {
        this.touch(name);
        const value = name === "train_size" ? this.fromRange(event.target.value) : Number(event.target.value);
        this.say(name, value);
        this.send({ do: "change", changes: { [name]: value } }, name);
      });
    }
    for (const name of ["optimizer", "lr", "batch_size"]) {
      this.form.elements[name].addEventListener("change", (event) => {
        if (event.target.value) this.send({ do: "change", changes: { [name]: event.target.value } });
      });
    }
    this.form.elements.biases.addEventListener("change", (event) =>
      this.send({ do: "change", changes: { biases: event.target.checked } }));
    this.form.elements.seed.addEventListener("change", (event) => {
      if (event.target.value) this.send({ do: "reset", seed: event.target.value });
    });
    $("count").addEventListener("input", (event) => this.setCount(Number(event.target.value)));
    const train = this.form.elements.train_size;
    [train.min, train.max] = [0, 100];
  }

  // Fewer columns drop the last ones; more take the first that are not there yet.
  setCount(wanted) {
    const names = this.controls.columns.map((c) => c.name);
    const others = this.hello.columns.map((c) => c.name).filter((name) => !names.includes(name));
    this.send({ do: "change", changes: { columns: [...names, ...others].slice(0, wanted) } });
  }

  // The range of training examples is logarithmic: few are where overfitting is.
  get least() {
    return Math.min(this.hello.trained_on, Math.max(2, 2 * this.hello.classes));
  }

  fromRange(mark) {
    const { least, hello: { trained_on: most } } = this;
    return Number(mark) >= 100 ? most : Math.round(least * (most / least) ** (mark / 100));
  }

  toRange(size) {
    const { least, hello: { trained_on: most } } = this;
    return size >= most ? 100 : Math.round((100 * Math.log(size / least)) / Math.log(most / least));
  }

  touch(name) {
    this.touched.set(name, performance.now());
  }

  free(name) {
    return performance.now() - (this.touched.get(name) || -REST) >= REST;
  }

  showStrength(strength, mixed = false) {
    const text = mixed ? "each its own" : String(strength);
    $("strength-text").textContent = text;
    $("strength").setAttribute("aria-valuetext", `λ = ${text}`);
  }

  say(name, value) {
    const output = this.form.querySelector(`[data-of=${name}]`);
    output.textContent = name === "label_noise" ? `${Math.round(100 * value)} %` : value.toLocaleString("en");
  }

  show(state) {
    const { controls } = state, { elements } = this.form;
    this.controls = controls;
    this.playing = state.playing;
    $("play").textContent = state.playing ? "Pause" : "Play";
    $("play").setAttribute("aria-pressed", String(state.playing));
    const strengths = controls.columns
      .filter((c) => this.hello.columns.find((h) => h.name === c.name).knob === "strength").map((c) => c.knob);
    const mixed = new Set(strengths).size > 1;
    if (mixed) $("linked").checked = false;
    $("strength").disabled = !strengths.length;
    if (Math.max(0, ...strengths) > this.end) {
      this.end = 10 ** Math.ceil(Math.log10(Math.max(...strengths)) - 1e-9);
      this.span();
    }
    if (this.free("strength")) {
      if (strengths.length && !mixed) $("strength").value = toMark(strengths[0]);
      this.showStrength(strengths.length ? strengths[0] : "—", mixed);
    }
    for (const name of ["optimizer", "lr", "batch_size", "seed"]) {
      if (document.activeElement !== elements[name]) elements[name].value = controls[name];
    }
    elements.biases.checked = controls.biases;
    if (this.free("train_size")) {
      elements.train_size.value = this.toRange(controls.train_size);
      this.say("train_size", controls.train_size);
    }
    if (this.free("label_noise")) {
      elements.label_noise.value = controls.label_noise;
      this.say("label_noise", controls.label_noise);
    }
    $("count").value = controls.columns.length;
    this.form.querySelector("[data-of=count]").textContent = controls.columns.length;
    const noise = controls.label_noise ? `, ${Math.round(100 * controls.label_noise)} % label noise` : "";
    $("settings-text").textContent =
      `${controls.optimizer}, learning rate ${num(controls.lr)}, batches of ${controls.batch_size}, ` +
      `${controls.train_size.toLocaleString("en")} training examples${noise}, seed ${controls.seed}`;
  }
}
