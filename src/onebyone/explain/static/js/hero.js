// The cover: a pixel's channels walk through an FC layer into the output's channels.

import { s, replace } from "./dom.js";
import { corner, plane, shade } from "./iso.js";
import { layerOf } from "./math.js";

const labels0 = {
  en: {
    what: "A map three channels deep. The three channels of one pixel enter a fully connected layer; its two outputs are that pixel of a map two channels deep.",
  },
  zh: {
    what: "一张三通道的图。某个像素的三个通道进入一个全连接层，它的两个输出就是一张两通道图上的同一像素。",
  },
};

function hero(stage, data, t, state) {
  const layer = layerOf(data.pixels);
  const [H, W] = layer.grid;
  const a = 14;
  const value = (p, n) => [0, 1, 2].reduce((sum, k) => sum + layer.w(n, k) * layer.x(p, k), 0);
  const top = Math.max(
    ...Array.from({ length: layer.P }, (_, p) => Math.max(...[0, 1].map((n) => Math.abs(value(p, n))))),
  );
  const svg = s("svg", { viewBox: "0 0 580 270", role: "img", "aria-label": t.what });
  stage.append(svg);
  state.p ??= 2 * W + 3;

  const map = (x0, y0, role, value, top) =>
    plane(H, W, x0, y0, a, state.p, (p) => ({ role, level: shade(value(p), top) }));
  const spot = (x0, y0) => corner(Math.floor(state.p / W), state.p % W, x0, y0 + a / 2, a);

  function draw() {
    const tops = [18, 92, 166];
    const outs = [55, 129];
    const inputs = tops.map((y0) => [270, y0 + 42]);
    const outputs = outs.map((y0) => [368, y0 + 42]);
    replace(
      svg,
      tops.map((y0, k) => map(100, y0, "x", (p) => layer.x(p, k), layer.topX)).reverse(),
      outs.map((y0, n) => map(480, y0, "y", (p) => value(p, n), top)).reverse(),
      inputs.map(([x, y], k) => {
        const [sx, sy] = spot(100, tops[k]);
        return s("line", { x1: sx + a, y1: sy, x2: x - 13, y2: y, class: "thread x" });
      }),
      outputs.map(([x, y], n) => {
        const [sx, sy] = spot(480, outs[n]);
        return s("line", { x1: x + 13, y1: y, x2: sx - a, y2: sy, class: "thread y" });
      }),
      inputs.flatMap(([x, y], k) =>
        outputs.map(([u, v], n) =>
          s("line", {
            x1: x + 12,
            y1: y,
            x2: u - 12,
            y2: v,
            class: "synapse w",
            "stroke-width": 1 + Math.abs(layer.w(n, k)) * 1.6,
            "stroke-dasharray": layer.w(n, k) < 0 ? "5 4" : null,
          }),
        ),
      ),
      inputs.map(([cx, cy], k) =>
        s("circle", {
          cx,
          cy,
          r: 13,
          class: "tile x on",
          style: { "--m": shade(layer.x(state.p, k), layer.topX) },
        }),
      ),
      outputs.map(([cx, cy], n) =>
        s("circle", {
          cx,
          cy,
          r: 13,
          class: "tile y on",
          style: { "--m": shade(value(state.p, n), top) },
        }),
      ),
    );
  }
  draw();

  // The pixel walks on, unless motion is off, the cover is out of sight or the language changed.
  const timer = setInterval(() => {
    if (!svg.isConnected) return clearInterval(timer);
    if (
      getComputedStyle(svg).getPropertyValue("--slow").trim() === "0s" ||
      svg.getBoundingClientRect().bottom < 0
    )
      return;
    state.p = (state.p + 1) % layer.P;
    draw();
  }, 1100);
}

export { hero, labels0 };
