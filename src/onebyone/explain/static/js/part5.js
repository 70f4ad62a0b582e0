// Part 5, flatten order: the same map read as CHW and as HWC, broken and mended.

import { h, num, fmt, choice, linked } from "./dom.js";
import { unpack } from "./math.js";

const labels5 = {
  en: {
    flatten: "Flatten the map as",
    weights: "Columns of the weight",
    asTrained: "as trained (CHW)",
    permuted: "permuted to HWC",
    map: "the map",
    channel: (c) => `channel ${c + 1}`,
    x: "flattened",
    w: "weight",
    p: "products",
    sum: "their sum",
    truth: "the layer as it was trained",
    equal: "Equal: weight and input are read in the same order.",
    broken: "Broken: no number is lost, but the weights meet the wrong pixels.",
  },
  zh: {
    flatten: "展平顺序",
    weights: "权重的列",
    asTrained: "训练时的顺序（CHW）",
    permuted: "重排为 HWC",
    map: "特征图",
    channel: (c) => `通道 ${c + 1}`,
    x: "展平后",
    w: "权重",
    p: "乘积",
    sum: "求和",
    truth: "训练好的那一层",
    equal: "相等：权重与输入按同一顺序读取。",
    broken: "错了：一个数也没少，但权重乘到了别的像素上。",
  },
};

function part5(stage, data, t, state) {
  const [C, H, W] = data.flatten.shape;
  const x = unpack(data.flatten.x).data,
    w = unpack(data.flatten.w).data;
  const cells = C * H * W;
  Object.assign(state, { order: "CHW", weights: "CHW", ...state });
  const chw = [...Array(cells).keys()];
  const hwc = Array.from({ length: cells }, (_, i) => (i % C) * H * W + Math.floor(i / C));
  const place = { CHW: chw, HWC: hwc };
  const truth = chw.reduce((sum, i) => sum + x[i] * w[i], 0);

  // Cells slide to their place in the chosen order; their number is the cell of the map.
  const strip = (role, values) =>
    h(
      "div",
      { class: "slots", style: { "--slots": cells } },
      chw.map((i) => {
        const node = num(role, values[i], `c${i}`);
        node.classList.add("slot", `channel${Math.floor(i / (H * W))}`);
        return node;
      }),
    );
  const move = (element, order) =>
    [...element.children].forEach((node, i) => node.style.setProperty("--at", order.indexOf(i)));
  const xs = strip("x", x),
    ws = strip("w", w);
  const products = h("div", { class: "slots", style: { "--slots": cells } });
  const verdict = h("p", { class: "verdict", "data-role": "verdict", "aria-live": "polite" });

  function draw() {
    const read = place[state.order],
      weight = place[state.weights];
    move(xs, read);
    move(ws, weight);
    const values = chw.map((i) => x[read[i]] * w[weight[i]]);
    products.replaceChildren(
      ...values.map((v, i) => {
        const node = num("p", v, `c${read[i]} c${weight[i]}`);
        node.classList.add("slot");
        node.style.setProperty("--at", i);
        return node;
      }),
    );
    const sum = values.reduce((a, v) => a + v, 0);
    const same = sum === truth;
    verdict.className = `verdict ${same ? "good" : "bad"}`;
    verdict.replaceChildren(
      h("span", { class: "pair" }, t.sum, " ", num("y", sum, "sum")),
      h("span", { class: "sign" }, same ? "=" : "≠"),
      h("span", { class: "pair" }, t.truth, " ", num("y", truth, "truth")),
      h("strong", {}, same ? t.equal : t.broken),
    );
  }

  const row = (name, content) => [h("dt", {}, name), h("dd", {}, content)];
  stage.append(
    h(
      "div",
      { class: "controls" },
      choice(
        t.flatten,
        [
          ["CHW", "C·H·W"],
          ["HWC", "H·W·C"],
        ],
        state.order,
        (v) => {
          state.order = v;
          draw();
        },
        "order",
      ),
      choice(
        t.weights,
        [
          ["CHW", t.asTrained],
          ["HWC", t.permuted],
        ],
        state.weights,
        (v) => {
          state.weights = v;
          draw();
        },
        "weights",
      ),
    ),
    h(
      "div",
      { class: "maps", "aria-label": t.map, role: "group" },
      Array.from({ length: C }, (_, c) =>
        h(
          "figure",
          {},
          h("figcaption", {}, t.channel(c)),
          h(
            "div",
            { class: "map", style: { "--columns": W } },
            Array.from({ length: H * W }, (_, i) => {
              const node = num("x", x[c * H * W + i], `c${c * H * W + i}`);
              node.classList.add(`channel${c}`);
              return node;
            }),
          ),
        ),
      ),
    ),
    h("dl", { class: "rows" }, row(t.x, xs), row(t.w, ws), row(t.p, products)),
    verdict,
  );
  draw();
  linked(stage);
}

export { part5, labels5 };
