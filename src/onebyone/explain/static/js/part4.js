// Part 4, the Transformer's feed-forward block: tokens as rows, and tokens stood upright.

import { h, num, dot, slider, linked, fmt } from "./dom.js";
import { unpack, linear, conv2d, relu } from "./math.js";

const labels4 = {
  en: {
    token: "token",
    step: "step",
    play: "Play",
    rows: "The formula: Linear on rows",
    columns: "The convolutions: tokens stood upright",
    steps: ["the tokens", "expand", "ReLU", "contract"],
    linear: (o, i) => `Linear ${i}\u00a0→\u00a0${o}`,
    conv: (o, i) => `${o} kernels 1×1×${i}`,
    channel: "channel",
    viaRows: "Linear",
    viaConv: "1×1 conv",
    difference: "largest difference over all tokens and channels",
    after: "after",
  },
  zh: {
    token: "词元",
    step: "步骤",
    play: "播放",
    rows: "按公式：Linear 作用于每一行",
    columns: "按卷积：把词元竖起来",
    steps: ["词元", "升维", "ReLU", "降维"],
    linear: (o, i) => `Linear ${i}\u00a0→\u00a0${o}`,
    conv: (o, i) => `${o} 个 1×1×${i} 卷积核`,
    channel: "通道",
    viaRows: "Linear",
    viaConv: "1×1 卷积",
    difference: "所有词元、所有通道上的最大差",
    after: "完成：",
  },
};

function part4(stage, data, t, state, lang) {
  const x = unpack(data.ffn.x),
    w1 = unpack(data.ffn.w1),
    w2 = unpack(data.ffn.w2);
  const b1 = unpack(data.ffn.b1).data,
    b2 = unpack(data.ffn.b2).data;
  const [S, d] = x.shape,
    D = w1.shape[0];
  const words = data.ffn.words[lang];
  Object.assign(state, { token: 1, step: 3, ...state });
  const rows = ({ shape: [n, k], data: flat }) =>
    Array.from({ length: n }, (_, i) => Array.from(flat.slice(i * k, i * k + k)));
  const X = rows(x),
    W1 = rows(w1),
    W2 = rows(w2);

  // Lane A: [S, d] row by row. Lane B: [d, 1, S], two convolutions. Lists of the four steps.
  const byRows = [X, X.map((row) => linear(W1, b1, row))];
  byRows.push(byRows[1].map((row) => row.map(relu)));
  byRows.push(byRows[2].map((row) => linear(W2, b2, row)));
  const upright = (matrix) => matrix[0].map((_, c) => [matrix.map((row) => row[c])]);
  const kernels = (W) => W.map((row) => row.map((v) => [[v]]));
  const byConv = [upright(X)];
  byConv.push(conv2d(kernels(W1), b1, byConv[0]));
  byConv.push(byConv[1].map((plane) => plane.map((line) => line.map(relu))));
  byConv.push(conv2d(kernels(W2), b2, byConv[2]));

  const board = h("div", { class: "lanes" });
  const compare = h("div", { class: "compare" });
  const tops = byRows.map((step) => Math.max(...step.flat().map(Math.abs)));
  const role = ["x", "p", "p", "y"];

  const grid = (step, columns, values) =>
    h("div", { class: `grid ${step <= state.step ? "" : "later"}`, style: { "--columns": columns } }, values);
  const cell = (step, token, channel, value) =>
    dot(
      role[step],
      step <= state.step ? value : 0,
      tops[step],
      `${step}-${token}-${channel}`,
      token === state.token ? "chosen" : "",
    );

  function lane(name, title, operations, cells) {
    return h(
      "figure",
      { "data-lane": name },
      h("figcaption", {}, title),
      h(
        "div",
        { class: "flow" },
        [0, 1, 2, 3].map((step) => [
          step
            ? h("span", { class: `step ${step <= state.step ? "" : "later"}` }, operations[step - 1])
            : null,
          h(
            "div",
            { class: "block" },
            cells(step),
            h(
              "code",
              {},
              name === "rows" ? `[${S}, ${byRows[step][0].length}]` : `[${byRows[step][0].length}, 1, ${S}]`,
            ),
          ),
        ]),
      ),
    );
  }

  function draw() {
    board.replaceChildren(
      lane("rows", t.rows, [t.linear(D, d), "ReLU", t.linear(d, D)], (step) => {
        const channels = byRows[step][0].length;
        return grid(
          step,
          channels,
          byRows[step].flatMap((row, s) => row.map((v, c) => cell(step, s, c, v))),
        );
      }),
      lane("columns", t.columns, [t.conv(D, d), "ReLU", t.conv(d, D)], (step) =>
        grid(
          step,
          S,
          byConv[step].flatMap((plane, c) => plane[0].map((v, s) => cell(step, s, c, v))),
        ),
      ),
    );
    const step = state.step,
      s = state.token;
    const worst = Math.max(
      ...byRows[step].flatMap((row, i) => row.map((v, c) => Math.abs(v - byConv[step][c][0][i]))),
    );
    compare.replaceChildren(
      h(
        "table",
        { "data-role": "compare" },
        h("caption", {}, `${t.token} “${words[s]}” · ${t.steps[step]}`),
        h(
          "tbody",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "row" }, t.viaRows),
            byRows[step][s].map((v, c) => h("td", {}, num(role[step], v, `${step}-${s}-${c}`, 4))),
          ),
          h(
            "tr",
            {},
            h("th", { scope: "row" }, t.viaConv),
            byConv[step].map((plane, c) => h("td", {}, num(role[step], plane[0][s], `${step}-${s}-${c}`, 4))),
          ),
        ),
      ),
      h(
        "p",
        { class: "note" },
        t.difference,
        ": ",
        h("b", { "data-role": "difference", "data-value": worst }, fmt(worst, 4)),
      ),
    );
  }

  const token = slider(
    t.token,
    { min: 1, max: S, value: state.token + 1, text: (v) => words[v - 1], id: "token" },
    (v) => {
      state.token = v - 1;
      draw();
    },
  );
  const step = slider(
    t.step,
    { min: 0, max: 3, value: state.step, text: (v) => t.steps[v], id: "step" },
    (v) => {
      state.step = v;
      draw();
    },
  );
  const play = h(
    "button",
    {
      type: "button",
      class: "action",
      onclick: () => {
        const range = step.querySelector("input");
        const tick = (v) => {
          range.value = v;
          range.dispatchEvent(new Event("input"));
          if (v < 3 && stage.isConnected) setTimeout(tick, 900, v + 1);
        };
        tick(0);
      },
    },
    t.play,
  );
  stage.append(h("div", { class: "controls" }, token, step, play), board, compare);
  draw();
  linked(stage);
}

export { part4, labels4 };
