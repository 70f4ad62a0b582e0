// Part 7, equal mathematics, unequal bits: one dot product, summed in several orders.

import { h, s, fmt, group, slider, choice, replace } from "./dom.js";
import {
  layerOf,
  exactSum,
  sumInOrder,
  sumInLanes,
  sumInPairs,
  ulps32,
  ulps64,
  bits32,
  random,
} from "./math.js";

const labels7 = {
  en: {
    terms: "terms in the sum, K",
    output: "output channel",
    shuffle: "Shuffle again",
    format: "format",
    orders: {
      forward: "first to last",
      backward: "last to first",
      lanes8: "8 lanes (SIMD)",
      lanes16: "16 lanes",
      pairs: "in pairs (tree)",
      shuffled: "shuffled",
    },
    order: "order of the sum",
    result: "result",
    bits: "bits",
    ulps: "ULPs off",
    exact: "the exact sum, rounded once",
    axis: "distance from the exact sum, in ULPs",
    distinct: (d, n, within) =>
      `${n} orders give ${d} different results. ${within} of the ${n} lie within the bound that K and the format allow: no order is the right one.`,
    bound: "bound",
    runtime: (r) =>
      `On the machine that made this page, ONNX Runtime computed one layer (${group(r.k)} inputs, ${group(r.values)} results) as MatMul and as Conv: ${group(r.same)} results are bit for bit the same, the rest differ by up to ${group(r.ulps)} ULPs. The far ones are sums that nearly cancel: small results of large terms.`,
  },
  zh: {
    terms: "求和的项数 K",
    output: "输出通道",
    shuffle: "再打乱一次",
    format: "格式",
    orders: {
      forward: "从头到尾",
      backward: "从尾到头",
      lanes8: "8 路并行（SIMD）",
      lanes16: "16 路并行",
      pairs: "两两相加（树形）",
      shuffled: "随机打乱",
    },
    order: "求和顺序",
    result: "结果",
    bits: "二进制位",
    ulps: "差几个 ULP",
    exact: "精确和，只舍入一次",
    axis: "与精确和的距离，单位 ULP",
    distinct: (d, n, within) =>
      `${n} 种顺序，得到 ${d} 个不同的结果。其中 ${within} 个的误差不超过 K 和格式所允许的界：没有哪种顺序才算“正确”。`,
    bound: "误差界",
    runtime: (r) =>
      `在生成本页的机器上，ONNX Runtime 把同一层（${group(r.k)} 个输入，${group(r.values)} 个结果）分别按 MatMul 和 Conv 计算：${group(r.same)} 个结果逐位相同，其余最多相差 ${group(r.ulps)} 个 ULP。差得远的是那些几乎抵消的和：项很大，结果很小。`,
  },
};

function part7(stage, data, t, state) {
  const layer = layerOf(data.layer ?? data.sum);
  const sizes = [];
  for (let k = 4; k < layer.K; k *= 2) sizes.push(k);
  sizes.push(layer.K);
  Object.assign(state, { size: sizes.length - 1, n: 0, seed: 1, format: "float32", ...state });
  const result = h("div", { class: "bits" });

  function orders(products, round) {
    const shuffled = [...products],
      next = random(state.seed);
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    return {
      forward: sumInOrder(products, round),
      backward: sumInOrder([...products].reverse(), round),
      lanes8: sumInLanes(products, round, 8),
      lanes16: sumInLanes(products, round, 16),
      pairs: sumInPairs(products, round),
      shuffled: sumInOrder(shuffled, round),
    };
  }

  function draw() {
    const K = sizes[state.size],
      single = state.format === "float32";
    // float32 × float32 is exact in float64, so these are the true products.
    const products = Array.from({ length: K }, (_, k) => layer.w(state.n, k) * layer.x(0, k));
    const truth = exactSum(products),
      exact = single ? Math.fround(truth) : truth;
    const sums = orders(products, single ? Math.fround : (v) => v);
    const rows = Object.entries(sums).map(([name, value]) => ({
      name,
      value,
      off: single ? ulps32(value, exact) : ulps64(value, exact),
    }));
    const distinct = new Set(rows.map((row) => row.value)).size;
    // |error| ≤ γ(K) Σ|wx|, γ(K) = K·u / (1 − K·u); one rounding for each product, one for each sum.
    const u = single ? 2 ** -24 : 2 ** -53,
      bound = ((K * u) / (1 - K * u)) * products.reduce((a, v) => a + Math.abs(v), 0);
    const span = Math.max(1, ...rows.map((row) => Math.abs(row.off)));
    const step = Math.max(1, 10 ** Math.floor(Math.log10(span)) / 2),
      reach = Math.ceil(span / step) * step;
    const X = (off) => 340 + (off / reach) * 200;
    const digits = single ? 9 : 17;
    const text = (v) => (v === 0 ? "0" : v.toPrecision(digits).replaceAll("-", "−"));
    replace(
      result,
      s(
        "svg",
        {
          viewBox: "0 0 560 214",
          role: "img",
          "aria-label": `${t.axis}: ${rows.map((row) => `${t.orders[row.name]} ${row.off}`).join(", ")}`,
        },
        s("line", { x1: 340, x2: 340, y1: 8, y2: 174, class: "origin" }),
        rows.map((row, i) => [
          s("line", { x1: 140, x2: 540, y1: 24 + i * 28, y2: 24 + i * 28, class: "rail" }),
          s("text", { x: 130, y: 28 + i * 28, class: "caption end" }, t.orders[row.name]),
          s("line", { x1: 340, x2: X(row.off), y1: 24 + i * 28, y2: 24 + i * 28, class: "lead" }),
          s("circle", { cx: X(row.off), cy: 24 + i * 28, r: 6, class: row.off ? "off" : "hit" }),
        ]),
        [-reach, 0, reach].map((v) => s("text", { x: X(v), y: 190, class: "caption" }, fmt(v, 0))),
        s("text", { x: 340, y: 208, class: "caption tiny" }, t.axis),
      ),
      h(
        "table",
        { "data-role": "orders" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            [t.order, t.result, single ? t.bits : null, t.ulps].map(
              (name) => name && h("th", { scope: "col" }, name),
            ),
          ),
        ),
        h(
          "tbody",
          {},
          rows.map((row) =>
            h(
              "tr",
              {
                "data-order": row.name,
                "data-value": row.value,
                "data-off": row.off,
                class: row.off ? "" : "hit",
              },
              h("th", { scope: "row" }, t.orders[row.name]),
              h("td", {}, text(row.value)),
              single ? h("td", {}, h("code", {}, bits32(row.value))) : null,
              h("td", {}, fmt(row.off, 0)),
            ),
          ),
        ),
        h(
          "tfoot",
          {},
          h(
            "tr",
            { "data-order": "exact", "data-value": exact },
            h("th", { scope: "row" }, t.exact),
            h("td", {}, text(exact)),
            single ? h("td", {}, h("code", {}, bits32(exact))) : null,
            h("td", {}, "0"),
          ),
          h(
            "tr",
            {},
            h("th", { scope: "row" }, t.bound),
            h("td", { colspan: single ? 3 : 2 }, "± ", bound.toExponential(1).replaceAll("-", "−")),
          ),
        ),
      ),
    );
    note.textContent = t.distinct(
      distinct,
      rows.length,
      rows.filter((row) => Math.abs(row.value - truth) <= bound).length,
    );
  }

  const note = h("p", { class: "note", "data-role": "distinct", "aria-live": "polite" });
  stage.append(
    h(
      "div",
      { class: "controls" },
      choice(
        t.format,
        [
          ["float32", "float32"],
          ["float64", "float64"],
        ],
        state.format,
        (v) => {
          state.format = v;
          draw();
        },
        "format",
      ),
      slider(
        t.terms,
        { min: 0, max: sizes.length - 1, value: state.size, text: (v) => group(sizes[v]), id: "terms" },
        (v) => {
          state.size = v;
          draw();
        },
      ),
      layer.N > 1
        ? slider(t.output, { min: 1, max: layer.N, value: state.n + 1, id: "output" }, (v) => {
            state.n = v - 1;
            draw();
          })
        : null,
      h(
        "button",
        {
          type: "button",
          class: "action",
          onclick: () => {
            state.seed++;
            draw();
          },
        },
        t.shuffle,
      ),
    ),
    result,
    note,
    h("p", { class: "note aside" }, t.runtime(data.runtime)),
  );
  draw();
}

export { part7, labels7 };
