// Part 8, break it: choose a wrong rewrite, see which check catches it.

import { h, replace } from "./dom.js";

const labels8 = {
  en: {
    pick: "A rewrite of the network", table: "All rewrites, all checks",
    mutants: {
      correct: "a correct rewrite", transposed_weight: "square weight transposed", flatten_hwc: "flattened as HWC, weight for CHW", swapped_hw: "H and W swapped in the weight",
      dropped_bias: "bias dropped", doubled_bias: "bias added twice", bias_after_relu: "bias added after the ReLU", off_by_one: "weight shifted by one column",
      swapped_classes: "two outputs swapped", softmax_axis: "softmax over the wrong axis", flipped_bit: "one lowest bit of one weight flipped", swapped_hidden: "two hidden channels swapped on both sides",
    },
    layers: {
      weights: ["weights", "Is every constant found in the original, byte for byte, up to its order?"],
      structure: ["structure", "Are the two graphs the same once layout is forgotten?"],
      field: ["field", "Do both compute the same in exact arithmetic modulo primes?"],
      rounding: ["rounding", "Run for real: is the error what rounding explains?"],
      sampled: ["sampled", "What others do: one random input, a tolerance."],
    },
    verdicts: { proved: "proved", differs: "differs", undecided: "undecided", passed: "passed" },
    signs: { proved: "✓", differs: "✗", undecided: "?", passed: "∼" },
    equivalent: "The same function: nothing may be called different.", wrong: "A different function: something must notice.",
    caught: (names) => `Caught by: ${names}.`, missed: "No check caught it.", evidence: "evidence",
    slipped: "Sampling with a tolerance lets it through.",
  },
  zh: {
    pick: "对网络的一次改写", table: "所有改写 × 所有检查",
    mutants: {
      correct: "正确的改写", transposed_weight: "方阵权重被转置", flatten_hwc: "按 HWC 展平，权重却按 CHW", swapped_hw: "权重里的 H 与 W 对调",
      dropped_bias: "漏掉偏置", doubled_bias: "偏置加了两次", bias_after_relu: "偏置加在 ReLU 之后", off_by_one: "权重错开一列",
      swapped_classes: "两个输出对调", softmax_axis: "softmax 用错了轴", flipped_bit: "某个权重的最低位翻转", swapped_hidden: "两个隐藏通道在前后同时对调",
    },
    layers: {
      weights: ["权重", "每个常量是否都能在原模型里逐字节找到（只允许换次序）？"],
      structure: ["结构", "忘掉布局之后，两张图是否相同？"],
      field: ["有限域", "在模素数的精确算术下，两者结果是否相同？"],
      rounding: ["舍入", "真正运行：误差是否能用舍入解释？"],
      sampled: ["抽样", "别人的做法：一个随机输入，一个容差。"],
    },
    verdicts: { proved: "已证明", differs: "不同", undecided: "无法判定", passed: "通过" },
    signs: { proved: "✓", differs: "✗", undecided: "?", passed: "∼" },
    equivalent: "同一个函数：任何检查都不该说它不同。", wrong: "不同的函数：必须有检查发现它。",
    caught: (names) => `发现者：${names}。`, missed: "没有检查发现它。", evidence: "证据",
    slipped: "带容差的抽样放过了它。",
  },
};

function part8(stage, data, t, state) {
  const { layers, rows } = data.mutants;
  state.at ??= rows.findIndex((row) => row.name === "flipped_bit");
  const cards = h("div", { class: "checks", "aria-live": "polite" });
  const list = h("div", { class: "mutants", role: "group", "aria-label": t.pick });
  const table = h("div", { class: "kill" });

  function draw() {
    const row = rows[state.at];
    for (const button of list.children) button.setAttribute("aria-pressed", String(button.dataset.mutant === row.name));
    const catchers = layers.filter((name) => row.layers[name].verdict === "differs");
    const slipped = !row.equivalent && row.layers.sampled?.verdict === "passed";
    replace(cards,
      h("p", { class: `verdict ${row.equivalent || catchers.length ? "good" : "bad"}`, "data-role": "verdict" },
        h("strong", {}, row.equivalent ? t.equivalent : t.wrong), " ",
        row.equivalent ? null : h("span", {}, catchers.length ? t.caught(catchers.map((name) => t.layers[name][0]).join(", ")) : t.missed),
        slipped ? h("span", {}, ` ${t.slipped}`) : null),
      layers.map((name) => h("section", { class: `check ${row.layers[name].verdict}`, "data-layer": name },
        h("h3", {}, t.layers[name][0], h("span", { class: "badge" }, t.signs[row.layers[name].verdict], " ", t.verdicts[row.layers[name].verdict])),
        h("p", {}, t.layers[name][1]),
        h("p", { class: "evidence" }, h("code", { lang: "en" }, row.layers[name].evidence)))));
    for (const line of table.querySelectorAll("tr[data-mutant]")) line.classList.toggle("on", line.dataset.mutant === row.name);
  }

  replace(list, rows.map((row, i) => h("button", { type: "button", "data-mutant": row.name, "aria-pressed": "false", onclick: () => { state.at = i; draw(); } }, t.mutants[row.name])));
  replace(table, h("details", {}, h("summary", {}, t.table), h("table", {},
    h("thead", {}, h("tr", {}, h("td"), layers.map((name) => h("th", { scope: "col" }, t.layers[name][0])))),
    h("tbody", {}, rows.map((row) => h("tr", { "data-mutant": row.name }, h("th", { scope: "row" }, t.mutants[row.name]),
      layers.map((name) => h("td", { class: row.layers[name].verdict, title: t.verdicts[row.layers[name].verdict] },
        h("span", { role: "img", "aria-label": t.verdicts[row.layers[name].verdict] }, t.signs[row.layers[name].verdict])))))))));
  stage.append(h("p", { class: "label" }, t.pick), list, cards, table);
  draw();
}

export { part8, labels8 };
