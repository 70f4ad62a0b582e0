// Part 1, the misunderstanding: a 1×1 kernel holds one weight for every channel.

import { h, s, group, slider, choice, linked, arrows, replace } from "./dom.js";
import { shade, stack } from "./iso.js";
import { layerOf } from "./math.js";
import { sumsTable } from "./part1sums.js";

const labels1 = {
  en: {
    mode: "What a 1×1 kernel is",
    kernel: "K weights",
    scalar: "one scalar (wrong)",
    k: "channels in, K",
    n: "kernels, N",
    first: "first channel",
    pick: "The input. Arrow keys move the pixel.",
    picture: "pick a pixel",
    input: (k) => `input, ${k} channels deep`,
    kernels: (n, k) => `${n} kernels, 1×1×${k}`,
    output: (n) => `output, ${n} channels deep`,
    channel: "channel",
    x: "pixel",
    w: "weight",
    p: "product",
    others: (c) => `${c} other channels`,
    bias: "bias",
    sum: (n) => `output channel ${n + 1}`,
    one: "the scalar",
    nothing:
      "Nothing is added up: each channel stays alone, only brighter or darker, and the depth cannot change.",
    shared: (w, flat) =>
      `${w} weights, shared by all positions. One FC layer over the flattened image would hold ${flat}.`,
    isScalar:
      "One number, whatever the depth: as a matrix, that number along the diagonal and zeros elsewhere.",
    at: (r, c) => `row ${r + 1}, column ${c + 1}`,
    choose: "kernel",
  },
  zh: {
    mode: "1×1 卷积核是什么",
    kernel: "K 个权重",
    scalar: "一个标量（错误）",
    k: "输入通道数 K",
    n: "卷积核个数 N",
    first: "起始通道",
    pick: "输入图。用方向键移动像素。",
    picture: "选一个像素",
    input: (k) => `输入，深 ${k} 个通道`,
    kernels: (n, k) => `${n} 个 1×1×${k} 的卷积核`,
    output: (n) => `输出，深 ${n} 个通道`,
    channel: "通道",
    x: "像素",
    w: "权重",
    p: "乘积",
    others: (c) => `其余 ${c} 个通道`,
    bias: "偏置",
    sum: (n) => `输出通道 ${n + 1}`,
    one: "那个标量",
    nothing: "什么都没有相加：各通道互不相干，只是变亮或变暗，深度也无法改变。",
    shared: (w, flat) => `共 ${w} 个权重，所有位置共用。若把整张图展平后接一个全连接层，则需要 ${flat} 个。`,
    isScalar: "不论多深，都只有一个数：写成矩阵，对角线上全是它，其余都是零。",
    at: (r, c) => `第 ${r + 1} 行，第 ${c + 1} 列`,
    choose: "卷积核",
  },
};

const SHOWN = 8;

function part1(stage, data, t, state) {
  const layer = layerOf(data.layer ?? data.pixels);
  const own = Boolean(data.layer);
  const [H, W] = layer.grid;
  Object.assign(state, {
    K: own ? Math.min(6, layer.K) : 3,
    N: Math.min(2, layer.N),
    n: 0,
    k0: 0,
    p: Math.min(layer.P - 1, W * 2 + Math.min(3, W - 1)),
    mode: "kernel",
    ...state,
  });

  const figure = h("div", { class: "figure1" });
  const sums = h("div", { class: "sums" });
  const count = h("p", { class: "note", "data-role": "count" });
  const fullK = () => (own ? layer.allK : state.K);
  const shown = () =>
    Array.from({ length: Math.min(state.K, SHOWN) }, (_, i) => state.k0 + i).filter((k) => k < layer.K);
  const product = (p, n, k) => layer.w(n, k) * layer.x(p, k);
  const channels = () => (own ? Array.from({ length: layer.K }, (_, k) => k) : shown());
  const sum = (p, n) => channels().reduce((a, k) => a + product(p, n, k), 0) + layer.b(n) + layer.rest(p, n);

  const pick = (p) => {
    state.p = p;
    draw();
  };
  const picker = h("div", {
    class: "picker",
    tabindex: 0,
    role: "group",
    "aria-label": t.pick,
    "data-role": "picker",
    style: { "--columns": W },
  });
  arrows(picker, H, W, () => state.p, pick);

  function colour(p) {
    if (own || state.K < 3)
      return `color-mix(in srgb, var(--x) ${Math.round((Math.abs(layer.x(p, state.k0)) / (layer.topX || 1)) * 90 + 5)}%, var(--paper))`;
    return `rgb(${[0, 1, 2].map((k) => Math.round((layer.x(p, k) / 9) * 255)).join(" ")})`;
  }

  const MIDDLE = 130;
  const planes = (depth, value, top, role, key, x0) =>
    stack({
      rows: H,
      columns: W,
      depth,
      a: Math.min(17, 170 / (H + W)),
      x0,
      middle: MIDDLE,
      lit: state.p,
      role,
      level: (p, d) => shade(value(p, d), top),
      key,
      pick,
    });

  function sticks(x0) {
    const ks = state.mode === "kernel" ? shown() : [0];
    const count = state.mode === "kernel" ? state.N : 1;
    const size = Math.min(26, 190 / ks.length),
      gap = Math.min(10, 44 / count),
      wide = Math.min(24, (150 - count * gap) / count);
    const left = x0 - (count * (wide + gap) - gap) / 2,
      top = MIDDLE - (ks.length * size) / 2;
    return s(
      "g",
      {},
      Array.from({ length: count }, (_, n) =>
        s(
          "g",
          {
            class: `stick ${n === state.n ? "on" : ""}`,
            "data-kernel": n,
            onclick: () => {
              state.n = n;
              chooser();
              draw();
            },
          },
          ks.map((k, i) =>
            s("rect", {
              x: left + n * (wide + gap),
              y: top + i * size,
              width: wide,
              height: size - 1.5,
              rx: 2,
              class: `tile w ${n === state.n ? "on" : ""}`,
              "data-key": n === state.n ? `k${k}` : null,
              style: { "--m": shade(layer.w(n, k), layer.topW) },
            }),
          ),
        ),
      ),
    );
  }

  function draw() {
    state.n = Math.min(state.n, state.N - 1);
    const ks = shown(),
      scalar = state.mode === "scalar";
    replace(
      picker,
      Array.from({ length: layer.P }, (_, p) =>
        h("i", {
          class: p === state.p ? "on" : "",
          "data-pixel": p,
          style: { background: colour(p) },
          onpointermove: () => p !== state.p && pick(p),
          onclick: () => pick(p),
        }),
      ),
    );
    const scale = layer.w(state.n, state.k0);
    const topY = Math.max(
      ...Array.from({ length: layer.P }, (_, p) =>
        Math.max(...Array.from({ length: state.N }, (_, n) => Math.abs(sum(p, n)))),
      ),
    );
    const svg = s(
      "svg",
      {
        viewBox: "0 0 660 250",
        role: "img",
        "aria-label": `${t.input(fullK())}; ${t.kernels(state.N, fullK())}; ${t.output(state.N)}`,
      },
      planes(
        ks.length,
        (p, d) => layer.x(p, ks[d]),
        layer.topX,
        "x",
        (d) => `k${ks[d]}`,
        116,
      ),
      s("text", { x: 232, y: MIDDLE + 6, class: "operator" }, "∗"),
      sticks(330),
      s("text", { x: 428, y: MIDDLE + 6, class: "operator" }, "="),
      scalar
        ? planes(
            ks.length,
            (p, d) => layer.x(p, ks[d]) * scale,
            layer.topX * Math.abs(scale),
            "y",
            (d) => `k${ks[d]}`,
            544,
          )
        : planes(
            state.N,
            (p, n) => sum(p, n),
            topY,
            "y",
            (n) => `y${n}`,
            544,
          ),
    );
    const captions = [
      t.input(fullK()),
      scalar ? t.one : t.kernels(own ? layer.allN : state.N, fullK()),
      t.output(scalar ? fullK() : own ? layer.allN : state.N),
    ];
    replace(
      figure,
      h(
        "div",
        { class: "captions" },
        captions.map((text) => h("span", {}, text)),
      ),
      svg,
    );

    const hidden = fullK() - ks.length;
    replace(
      sums,
      sumsTable(layer, state, t, {
        ks,
        scale: scalar ? scale : null,
        hidden,
        own,
        total: sum(state.p, state.n),
      }),
    );
    const n = own ? layer.allN : state.N,
      positions = own ? data.layer.positions : H * W;
    count.textContent = scalar
      ? t.isScalar
      : t.shared(group(n * fullK()), group(n * positions * fullK() * positions));
    where.textContent = t.at(Math.floor(state.p / W), state.p % W);
  }

  const where = h("span", { class: "where" });
  const controls = [
    choice(
      t.mode,
      [
        ["kernel", t.kernel],
        ["scalar", t.scalar],
      ],
      state.mode,
      (mode) => {
        state.mode = mode;
        draw();
      },
      "mode",
    ),
    own
      ? slider(
          t.first,
          { min: 1, max: Math.max(1, layer.K - state.K + 1), value: state.k0 + 1, id: "k0" },
          (v) => {
            state.k0 = v - 1;
            draw();
          },
        )
      : slider(t.k, { min: 1, max: SHOWN, value: state.K, id: "K" }, (v) => {
          state.K = v;
          draw();
        }),
    slider(t.n, { min: 1, max: Math.min(SHOWN, layer.N), value: state.N, id: "N" }, (v) => {
      state.N = v;
      state.n = Math.min(state.n, v - 1);
      chooser();
      draw();
    }),
  ];
  const kernelChoice = h("div", { class: "through" });
  const chooser = () =>
    replace(
      kernelChoice,
      slider(t.choose, { min: 1, max: state.N, value: state.n + 1, id: "n" }, (v) => {
        state.n = v - 1;
        draw();
      }),
    );
  chooser();
  stage.append(
    h("div", { class: "controls" }, controls, kernelChoice),
    figure,
    h(
      "div",
      { class: "beside" },
      h("div", { class: "picking" }, h("p", { class: "label" }, t.picture, " · ", where), picker),
      sums,
    ),
    count,
  );
  draw();
  linked(stage);
}

export { part1, labels1 };
