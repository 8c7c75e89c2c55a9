"use strict";
(() => {
  if (typeof Plotly === "undefined") return;
  const figures = JSON.parse(document.getElementById("figures-data").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const family = getComputedStyle(document.body).fontFamily;
  const options = { displayModeBar: false, responsive: true };

  // Text, grid and background follow the page's light or dark theme.
  function theme() {
    const axis = (name) => ({
      [`${name}.gridcolor`]: style("--grid"), [`${name}.linecolor`]: style("--line"),
      [`${name}.tickcolor`]: style("--line"), [`${name}.zerolinecolor`]: style("--grid"),
    });
    return {
      "font.color": style("--ink-2"), "font.family": family, "font.size": 12,
      "hoverlabel.bgcolor": style("--card"), "hoverlabel.bordercolor": style("--line"),
      "hoverlabel.font.color": style("--ink"), ...axis("xaxis"), ...axis("yaxis"),
    };
  }

  function put(layout, path, value) {
    const keys = path.split("."), last = keys.pop();
    keys.reduce((object, key) => (object[key] ??= {}), layout)[last] = value;
  }

  async function draw() {
    for (const [name, figure] of Object.entries(figures)) {
      for (const [path, value] of Object.entries(theme())) put(figure.layout, path, value);
      await Plotly.newPlot(name, figure.data, figure.layout, options);
      await new Promise((done) => setTimeout(done));
    }
    document.documentElement.dataset.figures = "drawn";
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const name of Object.keys(figures)) Plotly.relayout(name, theme());
  });
  draw();
})();
