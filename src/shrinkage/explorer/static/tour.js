// The guided tour: a claim, where to look, and what the live numbers say about it.

const WATCHING = ["watching", "undecided"];
const VERDICTS = {
  "seen": ["seen", "seen"], "partly": ["seen in part", "partly"], "not seen": ["not seen yet", "not-seen"],
  "undecided": WATCHING, "not measured": WATCHING,
};

export class Tour {
  constructor(hello, send) {
    this.steps = hello.tour;
    this.send = send;
    this.box = document.getElementById("tour");
    this.box.innerHTML = `<div class="head"><p class="place"></p><button type="button" data-go="end" aria-label="end the tour">×</button></div>
      <h2></h2><p class="where"></p><p class="check"><span class="verdict"></span><span class="live"></span></p>
      <p class="buttons"><button type="button" data-go="back">Back</button><button type="button" data-go="again">Set the controls again</button>
      <button type="button" data-go="on" class="primary">Next</button></p>`;
    for (const button of this.box.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => {
        const to = { back: this.at - 1, again: this.at, on: this.at + 1, end: -1 }[button.dataset.go];
        this.go(to >= this.steps.length ? -1 : to);
      });
    }
    document.getElementById("tour-open").addEventListener("click", () => this.go(this.at >= 0 ? -1 : 0));
    this.at = -1;
  }

  go(step) {
    this.send({ do: "guide", step });
    if (step >= 0) window.scrollTo({ top: 0 });
  }

  show({ state, look }) {
    const before = this.at;
    this.at = state.guide;
    this.box.hidden = this.at < 0;
    document.getElementById("tour-open").setAttribute("aria-pressed", String(this.at >= 0));
    if (before !== this.at) this.mark();
    if (this.at < 0) return;
    const step = this.steps[this.at], part = (name) => this.box.querySelector(name);
    part(".place").textContent = `Guided tour, ${this.at + 1} of ${this.steps.length}`;
    part("h2").textContent = step.title;
    part(".where").textContent = step.look;
    part("[data-go=back]").disabled = this.at === 0;
    part("[data-go=on]").textContent = this.at + 1 === this.steps.length ? "End" : "Next";
    const check = look?.check?.step === this.at ? look.check : { verdict: "not measured", sentence: "Let it train for a moment." };
    const [word, tone] = VERDICTS[check.verdict];
    part(".verdict").textContent = word;
    part(".check").className = `check ${tone}`;
    const paused = VERDICTS[check.verdict] === WATCHING && !state.playing ? " It is paused: press Play." : "";
    part(".live").textContent = check.sentence + paused;
  }

  // Frame what the step is about.
  mark() {
    for (const marked of document.querySelectorAll(".focus")) marked.classList.remove("focus");
    const focus = this.steps[this.at]?.focus;
    if (!focus) return;
    for (const part of document.querySelectorAll(`[data-picture=${focus}], #${focus}`)) part.classList.add("focus");
  }
}
