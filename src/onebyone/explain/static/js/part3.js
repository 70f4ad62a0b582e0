// Part 3, one weight, four views: the same matrix as Linear, Linear on tokens, 1×1, and k×k.

import { h, s, fmt, group, num, dot, slider, linked, arrows } from "./dom.js";
import { layerOf, linear, conv2d, fold } from "./math.js";

const labels3 = {
  en: {
    size: "kernel of the last view, k×k",
    position: "token s = pixel s",
    titles: [
      "Linear on one vector",
      "Linear on S tokens",
      "1×1 convolution on H×W",
      "k×k convolution that covers its input",
    ],
    x: "reads",
    w: "weight",
    y: "gives",
    params: "parameters",
    macs: "multiply–adds per output vector",
    all: (n) => `× ${n} positions`,
    one: "× 1 position",
    choose: "Tokens. Up and down choose one.",
    window: "a window",
    equal: "All four results agree to the last digit shown.",
    unequal: "The four results differ.",
    first: (a, b) => `The cells show the first ${a} of ${b} weights of each kernel.`,
  },
  zh: {
    size: "最后一个视图的卷积核，k×k",
    position: "第 s 个词元 = 第 s 个像素",
    titles: [
      "Linear 作用于一个向量",
      "Linear 作用于 S 个词元",
      "1×1 卷积作用于 H×W",
      "盖住整个输入的 k×k 卷积",
    ],
    x: "读入",
    w: "权重",
    y: "得到",
    params: "参数量",
    macs: "每个输出向量的乘加次数",
    all: (n) => `× ${n} 个位置`,
    one: "× 1 个位置",
    choose: "词元。用上下方向键选择。",
    window: "窗口",
    equal: "四个结果直到显示的最后一位都相同。",
    unequal: "四个结果不同。",
    first: (a, b) => `格子只画出每个卷积核 ${b} 个权重中的前 ${a} 个。`,
  },
};

const CELLS = 64;

function part3(stage, data, t, state) {
  const layer = layerOf(data.layer ?? data.views);
  const own = Boolean(data.layer);
  const N = Math.min(3, layer.N),
    K = layer.K,
    rows = Math.min(2, layer.grid[0]),
    columns = Math.min(rows > 1 ? 3 : 6, layer.grid[1]);
  const S = rows * columns;
  const index = (p) => Math.floor(p / columns) * layer.grid[1] + (p % columns);
  const sizes = Array.from({ length: 12 }, (_, i) => i + 1).filter(
    (k) => layer.allK % (k * k) === 0 && K % (k * k) === 0,
  );
  Object.assign(state, { size: 0, p: 0, ...state });
  const ns = [...Array(N).keys()],
    all = [...Array(K).keys()],
    ks = all.slice(0, CELLS);
  const W = ns.map((n) => all.map((k) => layer.w(n, k)));
  const x = (p) => all.map((k) => layer.x(index(p), k));
  const bias = (p) => ns.map((n) => layer.b(n) + layer.rest(index(p), n));
  const board = h("div", { class: "four" });
  const verdict = h("p", { class: "note", "data-role": "verdict", "aria-live": "polite" });
  const digits = own ? 4 : 4;

  const strip = (role, value, top, key) =>
    h(
      "div",
      { class: "strip", style: { "--cells": Math.min(36, Math.max(16, ks.length)) } },
      ks.map((k) => dot(role, value(k), top, key(k))),
    );
  const wKey = (n) => (k) => `w${n}-${k}`;
  const matrix = () =>
    h(
      "div",
      { class: "matrix" },
      ns.map((n) => strip("w", (k) => W[n][k], layer.topW, wKey(n))),
    );
  const results = (y) =>
    h(
      "div",
      { class: "results" },
      y.map((v, n) => num("y", v, `y${n}`, digits)),
    );

  // A map with its channels stood upright: one stick of K cells for every pixel.
  function sticks(cols, role, value, top, key, chosen) {
    const cell = Math.max(2.4, 150 / ks.length);
    return s(
      "svg",
      {
        viewBox: `0 0 ${rows > 1 && cols.length === S ? columns * 34 + 20 : cols.length * 26 - 4} ${ks.length * cell + 34}`,
        class: "sticks",
        "aria-hidden": "true",
      },
      cols
        .map((p, i) => {
          const depth = cols.length === S && rows > 1 ? rows - 1 - Math.floor(p / columns) : 0;
          const left = rows > 1 && cols.length === S ? (p % columns) * 34 + depth * 17 + 4 : i * 26 + 4;
          return s(
            "g",
            {
              class: p === chosen ? "on" : "",
              transform: `translate(${left} ${20 - depth * 14})`,
              onclick: () => cols.length === S && choose(p),
            },
            s("rect", { x: -2, y: -2, width: 14, height: ks.length * cell + 4, class: "back" }),
            ks.map((k) => {
              const v = value(p, k),
                side = Math.max(0.2, Math.sqrt(Math.abs(v) / (top || 1)));
              return s("rect", {
                x: 5 - 5 * side,
                y: k * cell,
                width: 10 * side,
                height: cell - 0.6,
                class: `pin ${role} ${v < 0 ? "minus" : ""}`,
                "data-key": key(p, k),
              });
            }),
          );
        })
        .sort((a, b) => (a.getAttribute("class") === "on") - (b.getAttribute("class") === "on")),
    );
  }

  const planes = (role, value, top, key, k) =>
    h(
      "div",
      { class: "planes" },
      Array.from({ length: Math.max(1, Math.floor(ks.length / (k * k))) }, (_, c) =>
        h(
          "div",
          { class: "plane", style: { "--columns": k } },
          Array.from({ length: Math.min(k * k, ks.length) }, (_, i) =>
            dot(role, value(c * k * k + i), top, key(c * k * k + i)),
          ),
        ),
      ),
    );

  const choose = (p) => {
    state.p = p;
    draw();
  };

  function panel(i, shapes, figures, y, positions) {
    const row = (name, shape, content) =>
      h("div", {}, h("dt", {}, name, " ", h("code", {}, shape)), h("dd", {}, content));
    return h(
      "section",
      { class: "panel", "data-view": i },
      h("h3", {}, t.titles[i]),
      h(
        "dl",
        {},
        row(t.x, shapes[0], figures[0]),
        row(t.w, shapes[1], figures[1]),
        row(t.y, shapes[2], results(y)),
      ),
      h(
        "p",
        { class: "counter" },
        h("b", { "data-role": "params" }, group(layer.allN * layer.allK)),
        ` ${t.params} · `,
        h("b", { "data-role": "macs" }, group(layer.allN * layer.allK)),
        ` ${t.macs} `,
        h("span", {}, positions),
      ),
    );
  }

  function draw() {
    const focused = document.activeElement?.dataset?.role;
    const k = sizes[state.size],
      C = layer.allK / (k * k),
      p = state.p;
    const b = bias(p),
      xp = x(p);
    const tokens = Array.from({ length: S }, (_, s_) => linear(W, bias(s_), x(s_)));
    const map = conv2d(
      W.map((row) => row.map((w) => [[w]])),
      ns.map(() => 0),
      all.map((c) =>
        Array.from({ length: rows }, (_, i) =>
          Array.from({ length: columns }, (_, j) => layer.x(index(i * columns + j), c)),
        ),
      ),
    );
    const whole = conv2d(
      W.map((row) => fold(row, K / (k * k), k, k)),
      b,
      fold(xp, K / (k * k), k, k),
    );
    const results4 = [
      linear(W, b, xp),
      tokens[p],
      map.map((plane, n) => plane[Math.floor(p / columns)][p % columns] + b[n]),
      whole.map((plane) => plane[0][0]),
    ];
    const xKey = (c) => `x${c}`,
      xStrip = (q, keyed) => strip("x", (c) => layer.x(index(q), c), layer.topX, keyed ? xKey : () => null);
    const list = h(
      "div",
      { class: "tokens", tabindex: 0, role: "group", "aria-label": t.choose, "data-role": "tokens" },
      Array.from({ length: S }, (_, q) =>
        h("div", { class: q === p ? "token on" : "token", onclick: () => choose(q) }, xStrip(q, q === p)),
      ),
    );
    arrows(list, S, 1, () => state.p, choose);
    const [fullK, fullN] = [layer.allK, layer.allN];
    board.replaceChildren(
      panel(
        0,
        [`[${fullK}]`, `[${fullN}, ${fullK}]`, `[${fullN}]`],
        [xStrip(p, true), matrix()],
        results4[0],
        t.one,
      ),
      panel(
        1,
        [`[${S}, ${fullK}]`, `[${fullN}, ${fullK}]`, `[${S}, ${fullN}]`],
        [list, matrix()],
        results4[1],
        t.all(S),
      ),
      panel(
        2,
        [`[${fullK}, ${rows}, ${columns}]`, `[${fullN}, ${fullK}, 1, 1]`, `[${fullN}, ${rows}, ${columns}]`],
        [
          sticks(
            [...Array(S).keys()],
            "x",
            (q, c) => layer.x(index(q), c),
            layer.topX,
            (q, c) => (q === p ? `x${c}` : null),
            p,
          ),
          sticks(
            ns,
            "w",
            (n, c) => W[n][c],
            layer.topW,
            (n, c) => `w${n}-${c}`,
            -1,
          ),
        ],
        results4[2],
        t.all(S),
      ),
      panel(
        3,
        [`[${C}, ${k}, ${k}]`, `[${fullN}, ${C}, ${k}, ${k}]`, `[${fullN}, 1, 1]`],
        [
          planes("x", (c) => xp[c], layer.topX, xKey, k),
          h(
            "div",
            { class: "kernels" },
            ns.map((n) => planes("w", (c) => W[n][c], layer.topW, wKey(n), k)),
          ),
        ],
        results4[3],
        t.one,
      ),
    );
    const same = results4.every((y) => y.every((v, n) => fmt(v, digits) === fmt(results4[0][n], digits)));
    verdict.textContent =
      (same ? t.equal : t.unequal) +
      (layer.allK > ks.length ? " " + t.first(ks.length, group(layer.allK)) : "");
    if (focused === "tokens") list.focus();
  }

  stage.append(
    h(
      "div",
      { class: "controls" },
      slider(
        t.size,
        {
          min: 0,
          max: sizes.length - 1,
          value: state.size,
          text: (i) => `${sizes[i]}×${sizes[i]}×${layer.allK / sizes[i] ** 2}`,
          id: "size",
        },
        (v) => {
          state.size = v;
          draw();
        },
      ),
      slider(t.position, { min: 1, max: S, value: state.p + 1, id: "position" }, (v) => choose(v - 1)),
    ),
    board,
    verdict,
  );
  draw();
  linked(stage);
}

export { part3, labels3 };
