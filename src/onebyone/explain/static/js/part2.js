// Part 2, the same numbers twice: an FC layer from 3 to 2, and two 1×1×3 kernels.

import { h, s, m, fmt, group, slider, linked, roving } from "./dom.js";
import { layerOf, linear, conv2d, relu } from "./math.js";

const labels2 = {
  en: {
    fc: "As a fully connected layer",
    conv: "As two 1×1×3 kernels on a 1×1×3 map",
    formula: "As a formula",
    input: "input",
    weights: "weights",
    kernel: (n) => `kernel ${n + 1}`,
    bias: "bias",
    output: "output",
    map: "map",
    x: (k) => `input ${k + 1}`,
    rest: (c) => `The other ${c} inputs add`,
    names: { x: "input", w: "weight", b: "bias", z: "sum", y: "output", r: "other inputs" },
  },
  zh: {
    fc: "写成全连接层",
    conv: "写成 1×1×3 图上的两个 1×1×3 卷积核",
    formula: "写成公式",
    input: "输入",
    weights: "权重",
    kernel: (n) => `卷积核 ${n + 1}`,
    bias: "偏置",
    output: "输出",
    map: "特征图",
    x: (k) => `输入 ${k + 1}`,
    rest: (c) => `其余 ${c} 个输入贡献`,
    names: { x: "输入", w: "权重", b: "偏置", z: "和", y: "输出", r: "其余输入" },
  },
};

function part2(stage, data, t, state) {
  const own = Boolean(data.layer);
  const layer = layerOf(data.layer ?? data.twice);
  const K = Math.min(3, layer.K),
    N = Math.min(2, layer.N);
  const ks = [...Array(K).keys()],
    ns = [...Array(N).keys()];
  state.x ??= ks.map((k) => layer.x(0, k));
  const W = ns.map((n) => ks.map((k) => layer.w(n, k)));
  // What the inputs outside the window of a user's layer add is one more constant beside the bias.
  const rest = ns.map((n) => {
    let sum = layer.rest(0, n);
    for (let k = K; k < layer.K; k++) sum += layer.w(n, k) * layer.x(0, k);
    return sum;
  });
  const constant = ns.map((n) => layer.b(n) + rest[n]);
  const hasRest = own && layer.allK > K;
  const act = own ? (v) => v : relu;
  const digits = own ? 3 : 4;
  const views = h("div", { class: "twice" });
  const label = (key, v) => {
    const index = [...key.slice(1)].map((i) => Number(i) + 1).join(",");
    return `${t.names[key[0]]} ${index}: ${fmt(v, digits)}`;
  };

  const text = (x, y, role, key, v) =>
    s(
      "text",
      {
        x,
        y,
        class: `num ${role}`,
        "data-key": key,
        "data-value": v,
        role: "img",
        "aria-label": label(key, v),
      },
      fmt(v, digits),
    );
  const box = (x, y, role, key, v, round = 4) =>
    s(
      "g",
      { class: "box", "data-key": key, "data-value": v, role: "img", "aria-label": label(key, v) },
      s("rect", { x: x - 29, y: y - 16, width: 58, height: 32, rx: round, class: `shape ${role}` }),
      s("text", { x, y: y + 5, class: `num ${role}` }, fmt(v, digits)),
    );

  function fcView(z, y) {
    const xs = ks.map((k) => [52, 62 + k * 78]),
      hs = ns.map((n) => [262, 92 + n * 96]);
    const edges = ns.flatMap((n) =>
      ks.map((k) =>
        s("line", {
          x1: xs[k][0] + 29,
          y1: xs[k][1],
          x2: hs[n][0] - 29,
          y2: hs[n][1],
          class: "edge w",
          "data-key": `w${n}${k}`,
        }),
      ),
    );
    const weights = ns.flatMap((n) =>
      ks.map((k) => {
        const at = n ? 0.66 : 0.3;
        const [x, yy] = [
          xs[k][0] + 29 + (hs[n][0] - xs[k][0] - 58) * at,
          xs[k][1] + (hs[n][1] - xs[k][1]) * at,
        ];
        return s(
          "g",
          {},
          s("rect", { x: x - 22, y: yy - 10, width: 44, height: 19, rx: 9, class: "plate" }),
          text(x, yy + 5, "w", `w${n}${k}`, W[n][k]),
        );
      }),
    );
    return s(
      "svg",
      { viewBox: "0 0 420 270", role: "group", "aria-label": t.fc, class: "view" },
      s("text", { x: 52, y: 22, class: "caption" }, t.input),
      s("text", { x: 158, y: 22, class: "caption" }, t.weights),
      s("text", { x: 366, y: 22, class: "caption" }, t.output),
      edges,
      weights,
      ks.map((k) => box(xs[k][0], xs[k][1], "x", `x${k}`, state.x[k], 16)),
      ns.map((n) => [
        s("line", { x1: 291, y1: hs[n][1], x2: 337, y2: hs[n][1], class: "arrow" }),
        own ? null : s("text", { x: 314, y: hs[n][1] - 7, class: "caption tiny" }, "ReLU"),
        box(hs[n][0], hs[n][1], "p", `z${n}`, z[n], 16),
        box(366, hs[n][1], "y", `y${n}`, y[n], 16),
        s("text", { x: 232, y: hs[n][1] + 36, class: "caption tiny" }, t.bias),
        text(274, hs[n][1] + 36, "b", `b${n}`, layer.b(n)),
        hasRest
          ? [
              s("text", { x: 252, y: hs[n][1] + 54, class: "caption tiny end" }, t.names.r),
              text(282, hs[n][1] + 54, "p", `r${n}`, rest[n]),
            ]
          : null,
      ]),
    );
  }

  function convView(z, y) {
    const top = 62,
      gap = 40;
    return s(
      "svg",
      { viewBox: "0 0 420 270", role: "group", "aria-label": t.conv, class: "view" },
      s("text", { x: 52, y: 22, class: "caption" }, t.map),
      ns.map((n) => s("text", { x: 140 + n * 76, y: 22, class: "caption" }, t.kernel(n))),
      s("text", { x: 372, y: 22, class: "caption" }, t.output),
      s("rect", { x: 18, y: 40, width: 68, height: gap * K + 4, rx: 6, class: "frame x" }),
      ks.map((k) => box(52, top + k * gap, "x", `x${k}`, state.x[k])),
      s("text", { x: 97, y: top + gap + 5, class: "operator" }, "∗"),
      ns.map((n) => [
        s("rect", { x: 106 + n * 76, y: 40, width: 68, height: gap * K + 4, rx: 6, class: "frame w" }),
        ks.map((k) => box(140 + n * 76, top + k * gap, "w", `w${n}${k}`, W[n][k])),
        s("text", { x: 140 + n * 76, y: top + gap * K + 6, class: "operator" }, "+"),
        box(140 + n * 76, top + gap * K + 34, "b", `b${n}`, layer.b(n)),
        hasRest
          ? [
              s("text", { x: 97, y: top + gap * K + 75, class: "caption tiny end" }, t.names.r),
              box(140 + n * 76, top + gap * K + 70, "p", `r${n}`, rest[n]),
            ]
          : null,
      ]),
      s("text", { x: 266, y: top + gap + 5, class: "operator" }, "="),
      ns.map((n) => [
        box(304, top + 20 + n * gap, "p", `z${n}`, z[n]),
        s("line", { x1: 333, y1: top + 20 + n * gap, x2: 343, y2: top + 20 + n * gap, class: "arrow" }),
        box(372, top + 20 + n * gap, "y", `y${n}`, y[n]),
      ]),
      s("rect", { x: 338, y: top - 2, width: 68, height: gap * N + 4, rx: 6, class: "frame y" }),
      own ? null : s("text", { x: 338, y: top + gap * N + 22, class: "caption tiny" }, "ReLU"),
    );
  }

  function formula(z, y) {
    const cell = (role, key, v) =>
      m(
        "mtd",
        {},
        m(
          "mn",
          {
            class: `num ${role}`,
            "data-key": key,
            "data-value": v,
            role: "img",
            "aria-label": label(key, v),
          },
          fmt(v, digits),
        ),
      );
    const matrix = (rows) =>
      m(
        "mtable",
        { class: "bracket" },
        rows.map((row) => m("mtr", {}, row)),
      );
    const W_ = matrix(ns.map((n) => ks.map((k) => cell("w", `w${n}${k}`, W[n][k]))));
    const x_ = matrix(ks.map((k) => [cell("x", `x${k}`, state.x[k])]));
    const b_ = matrix(ns.map((n) => [cell("b", `b${n}`, layer.b(n))]));
    const r_ = hasRest ? [m("mo", {}, "+"), matrix(ns.map((n) => [cell("p", `r${n}`, rest[n])]))] : [];
    const z_ = () => matrix(ns.map((n) => [cell("p", `z${n}`, z[n])]));
    const y_ = matrix(ns.map((n) => [cell("y", `y${n}`, y[n])]));
    const line = (...parts) => m("math", { display: "block" }, m("mrow", {}, ...parts));
    const product = [W_, m("mo", {}, "·"), x_],
      rest_ = [m("mo", {}, "+"), b_, r_, m("mo", {}, "="), z_()].flat();
    // A narrow screen breaks the longer sum after its product.
    const lines = hasRest ? [line(...product), line(...rest_)] : [line(...product, ...rest_)];
    if (!own)
      lines.push(
        line(m("mi", { mathvariant: "normal" }, "ReLU"), m("mo", {}, "\u2061"), z_(), m("mo", {}, "="), y_),
      );
    return h(
      "div",
      { class: "view formula", role: "group", "aria-label": t.formula },
      lines,
      hasRest
        ? h(
            "p",
            { class: "note" },
            t.rest(group(layer.allK - K)),
            " ",
            rest.map((v, n) => [n ? ", " : "", fmt(v, digits)]),
          )
        : null,
    );
  }

  function draw() {
    const viaFc = linear(W, constant, state.x);
    const viaConv = conv2d(
      W.map((row) => row.map((w) => [[w]])),
      constant,
      state.x.map((x) => [[x]]),
    ).map((plane) => plane[0][0]);
    views.replaceChildren(
      h("figure", { "data-view": "fc" }, h("figcaption", {}, t.fc), fcView(viaFc, viaFc.map(act))),
      h("figure", { "data-view": "conv" }, h("figcaption", {}, t.conv), convView(viaConv, viaConv.map(act))),
      h("figure", { "data-view": "formula" }, h("figcaption", {}, t.formula), formula(viaFc, viaFc.map(act))),
    );
    for (const view of views.querySelectorAll(".view")) roving(view, "[data-key][role=img]");
  }

  stage.append(
    h(
      "div",
      { class: "controls" },
      ks.map((k) =>
        slider(t.x(k), { min: -3, max: 3, step: 0.25, value: state.x[k], id: `x${k}` }, (v) => {
          state.x[k] = v;
          draw();
        }),
      ),
    ),
    views,
  );
  draw();
  linked(stage, (key) => {
    const n = key[1];
    if (key[0] === "y") return [`z${n}`, `b${n}`, `r${n}`, ...ks.flatMap((k) => [`w${n}${k}`, `x${k}`])];
    if (key[0] === "z") return [`b${n}`, `r${n}`, ...ks.flatMap((k) => [`w${n}${k}`, `x${k}`])];
    return [];
  });
}

export { part2, labels2 };
