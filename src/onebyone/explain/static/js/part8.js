// Part 8, break it: choose a wrong rewrite, see which check catches it.

import { h, replace, roving } from "./dom.js";

const labels8 = {
  en: {
    rewrite: "rewrite",
    pick: "Rewrites. Arrow keys move between them.",
    mutants: {
      correct: "a correct rewrite",
      transposed_weight: "square weight transposed",
      flatten_hwc: "flattened as HWC, weight for CHW",
      swapped_hw: "H and W swapped in the weight",
      dropped_bias: "bias dropped",
      doubled_bias: "bias added twice",
      bias_after_relu: "bias added after the ReLU",
      off_by_one: "weight shifted by one column",
      swapped_classes: "two outputs swapped",
      softmax_axis: "softmax over the wrong axis",
      flipped_bit: "lowest bit of one weight flipped",
      swapped_hidden: "two hidden channels swapped, before and after",
    },
    layers: {
      weights: ["weights", "Is every constant found in the original, byte for byte, up to its order?"],
      structure: ["structure", "Are the two graphs the same once layout is forgotten?"],
      field: ["field", "Do both compute the same in exact arithmetic modulo primes?"],
      rounding: ["rounding", "Run for real: is the error what rounding explains?"],
      sampled: ["sampled", "What is usually done instead: one random input and a tolerance."],
    },
    verdicts: { proved: "proved", differs: "differs", undecided: "undecided", passed: "passed" },
    proved: "The same function, and proved to be.",
    unproved: "The same function: not proved, and no check objects.",
    alarm: "The same function, and yet a check objects.",
    caught: (names) => `Caught by ${names}.`,
    withheld: "Another function: structure and field do not prove it.",
    missed: "Another function, and not noticed.",
    slipped: "The sampled check lets it pass.",
    and: ", ",
  },
  zh: {
    rewrite: "改写",
    pick: "各种改写。用方向键切换。",
    mutants: {
      correct: "正确的改写",
      transposed_weight: "方阵权重被转置",
      flatten_hwc: "按 HWC 展平，权重却按 CHW",
      swapped_hw: "权重里的 H 与 W 对调",
      dropped_bias: "漏掉偏置",
      doubled_bias: "偏置加了两次",
      bias_after_relu: "偏置加在 ReLU 之后",
      off_by_one: "权重错开一列",
      swapped_classes: "两个输出对调",
      softmax_axis: "softmax 用错了轴",
      flipped_bit: "某个权重的最低位翻转",
      swapped_hidden: "两个隐藏通道前后同时对调",
    },
    layers: {
      weights: ["权重", "每个常量是否都能在原模型里逐字节找到（只允许换次序）？"],
      structure: ["结构", "忘掉布局之后，两张图是否相同？"],
      field: ["有限域", "在模素数的精确算术下，两者结果是否相同？"],
      rounding: ["舍入", "真正运行：误差是否能用舍入解释？"],
      sampled: ["抽样", "通常的做法：一个随机输入，加一个容差。"],
    },
    verdicts: { proved: "已证明", differs: "不同", undecided: "无法判定", passed: "通过" },
    proved: "同一个函数，并且已证明。",
    unproved: "同一个函数：未能证明，但没有检查提出异议。",
    alarm: "明明是同一个函数，却有检查提出异议。",
    caught: (names) => `发现者：${names}。`,
    withheld: "不是同一个函数：结构与有限域都不为它作证。",
    missed: "不是同一个函数，却没有被发现。",
    slipped: "抽样检查放过了它。",
    and: "、",
  },
};

const SIGNS = { proved: "✓", differs: "✗", undecided: "?", passed: "∼" };

function part8(stage, data, t, state) {
  const { layers, rows } = data.mutants;
  state.at ??= rows.findIndex((row) => row.name === "flipped_bit");
  const detail = h("div", { class: "checks", "aria-live": "polite" });
  const choose = (i) => {
    state.at = i;
    draw();
  };
  const table = h(
    "table",
    { class: "kill" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, t.rewrite),
        layers.map((name) => h("th", { scope: "col" }, h("span", {}, t.layers[name][0]))),
      ),
    ),
    h(
      "tbody",
      { role: "rowgroup", "aria-label": t.pick },
      rows.map((row, i) =>
        h(
          "tr",
          { "data-mutant": row.name, onclick: () => choose(i) },
          h(
            "th",
            { scope: "row" },
            h(
              "button",
              { type: "button", "aria-pressed": "false", onfocus: () => choose(i) },
              t.mutants[row.name],
            ),
          ),
          layers.map((name) =>
            h(
              "td",
              { class: row.layers[name].verdict },
              h(
                "span",
                { role: "img", "aria-label": t.verdicts[row.layers[name].verdict] },
                SIGNS[row.layers[name].verdict],
              ),
            ),
          ),
        ),
      ),
    ),
  );

  function draw() {
    const row = rows[state.at];
    for (const line of table.querySelectorAll("tr[data-mutant]")) {
      line.classList.toggle("on", line.dataset.mutant === row.name);
      line.querySelector("button").setAttribute("aria-pressed", String(line.dataset.mutant === row.name));
    }
    const objecting = layers.filter((name) => row.layers[name].verdict === "differs");
    const names = objecting.map((name) => t.layers[name][0]).join(t.and);
    const good = row.outcome !== (row.equivalent ? "differs" : "proved");
    const headline = row.equivalent
      ? { proved: t.proved, undecided: t.unproved, differs: t.alarm }[row.outcome]
      : good
        ? names
          ? t.caught(names)
          : t.withheld
        : t.missed;
    const slipped = !row.equivalent && row.layers.sampled.verdict === "passed";
    replace(
      detail,
      h(
        "p",
        { class: `verdict ${good ? "good" : "bad"}`, "data-role": "verdict" },
        h("strong", {}, headline),
        slipped ? h("span", {}, t.slipped) : null,
      ),
      layers.map((name) =>
        h(
          "section",
          { class: `check ${row.layers[name].verdict}`, "data-layer": name },
          h(
            "h3",
            {},
            t.layers[name][0],
            h(
              "span",
              { class: "badge" },
              SIGNS[row.layers[name].verdict],
              " ",
              t.verdicts[row.layers[name].verdict],
            ),
          ),
          h("p", {}, t.layers[name][1]),
          h("p", { class: "evidence" }, h("code", { lang: "en" }, row.layers[name].evidence)),
        ),
      ),
    );
  }

  stage.append(h("div", { class: "breaking" }, table, detail));
  roving(table, "button");
  draw();
}

export { part8, labels8 };
