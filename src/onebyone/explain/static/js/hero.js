// The cover: a pixel's channels walk through an FC layer into the output's channels.

import { s, replace } from "./dom.js";
import { layerOf } from "./math.js";

const labels0 = {
  en: { what: "A map three channels deep. The three channels of one pixel enter a fully connected layer; its two outputs are that pixel of a map two channels deep." },
  zh: { what: "一张三通道的图。某个像素的三个通道进入一个全连接层，它的两个输出就是一张两通道图上的同一像素。" },
};

function hero(stage, data, t, state) {
  const layer = layerOf(data.pixels), [H, W] = layer.grid, K = 3, N = 2, a = 14, b = 7;
  const value = (p, n) => [0, 1, 2].reduce((sum, k) => sum + layer.w(n, k) * layer.x(p, k), 0);
  const top = Math.max(...Array.from({ length: layer.P }, (_, p) => Math.max(...[0, 1].map((n) => Math.abs(value(p, n))))));
  const svg = s("svg", { viewBox: "0 0 580 270", role: "img", "aria-label": t.what });
  stage.append(svg);
  state.p ??= 2 * W + 3;

  function plane(x0, y0, role, level, key) {
    return s("g", {}, Array.from({ length: H * W }, (_, p) => {
      const x = x0 + ((p % W) - Math.floor(p / W)) * a, y = y0 + ((p % W) + Math.floor(p / W)) * b;
      return s("polygon", { points: `${x},${y} ${x + a},${y + b} ${x},${y + 2 * b} ${x - a},${y + b}`, class: `tile ${role} ${p === state.p ? "on" : ""}`, style: { "--m": level(p) } });
    }).sort((one, two) => one.classList.contains("on") - two.classList.contains("on")), key);
  }
  const spot = (x0, y0) => [x0 + ((state.p % W) - Math.floor(state.p / W)) * a, y0 + ((state.p % W) + Math.floor(state.p / W)) * b + b];

  function draw() {
    const tops = [0, 1, 2].map((k) => 18 + k * 74), outs = [55, 129];
    const inputs = tops.map((_, k) => [270, 60 + k * 74]), outputs = outs.map((_, n) => [368, 97 + n * 74]);
    replace(svg,
      tops.map((y0, k) => plane(100, y0, "x", (p) => (0.1 + (layer.x(p, k) / 9) * 0.8).toFixed(2))).reverse(),
      outs.map((y0, n) => plane(480, y0, "y", (p) => (0.06 + (Math.abs(value(p, n)) / top) * 0.8).toFixed(2))).reverse(),
      inputs.map(([x, y], k) => { const [sx, sy] = spot(100, tops[k]); return s("line", { x1: sx + a, y1: sy, x2: x - 13, y2: y, class: "thread x" }); }),
      outputs.map(([x, y], n) => { const [sx, sy] = spot(480, outs[n]); return s("line", { x1: x + 13, y1: y, x2: sx - a, y2: sy, class: "thread y" }); }),
      inputs.flatMap(([x, y], k) => outputs.map(([u, v], n) => s("line", { x1: x + 12, y1: y, x2: u - 12, y2: v, class: "synapse w", "stroke-width": 1 + Math.abs(layer.w(n, k)) * 1.6, "stroke-dasharray": layer.w(n, k) < 0 ? "5 4" : null }))),
      inputs.map(([cx, cy], k) => s("circle", { cx, cy, r: 13, class: "tile x on", style: { "--m": (0.1 + (layer.x(state.p, k) / 9) * 0.8).toFixed(2) } })),
      outputs.map(([cx, cy], n) => s("circle", { cx, cy, r: 13, class: "tile y on", style: { "--m": (0.06 + (Math.abs(value(state.p, n)) / top) * 0.8).toFixed(2) } })));
  }
  draw();

  // The pixel walks on, unless motion is off, the cover is out of sight or the language changed.
  const timer = setInterval(() => {
    if (!svg.isConnected) return clearInterval(timer);
    if (getComputedStyle(svg).getPropertyValue("--slow").trim() === "0s" || svg.getBoundingClientRect().bottom < 0) return;
    state.p = (state.p + 1) % layer.P;
    draw();
  }, 1100);
}

export { hero, labels0 };
