// Part 6, when it is not: the geometry of windows, the library's verdict, groups.

import { h, s, slider, choice, replace } from "./dom.js";

const labels6 = {
  en: {
    presets: "Examples",
    names: {
      pointwise: "1×1",
      patch: "patches",
      whole: "covers all",
      overlap: "kernel 3",
      gaps: "gaps",
      padded: "padding",
      dilated: "dilation",
      grouped: "groups",
      depthwise: "depthwise",
    },
    kernel: "kernel",
    stride: "stride",
    padding: "padding",
    dilation: "dilation",
    groups: "groups",
    window: (i) => `window ${i + 1}`,
    reads: "read by",
    input: "one axis of the input",
    zero: "padding",
    is: "An FC layer.",
    isNot: "Refused.",
    cases: {
      pointwise: "pointwise: one FC layer, shared by all positions, reads one position.",
      patch: "patch: one FC layer, shared by all patches; the patches tile the input.",
      whole: "whole: one FC layer reads the whole input, once.",
    },
    perGroup: (g) => `One such layer in each of the ${g} groups.`,
    why: (r) =>
      /^padding/.test(r)
        ? "At the border the window reads zeros that the input does not have."
        : /^dilation/.test(r)
          ? "A window's cells are not neighbours: reshaping alone cannot cut the windows out."
          : /overlap/.test(r)
            ? "Neighbouring windows read the same cells, so their inputs cannot be cut apart."
            : /gaps/.test(r)
              ? "Some cells are read by no window: reshaping alone cannot cut the windows out."
              : /multiple/.test(r)
                ? "The last cells fill no whole patch and are dropped."
                : "",
    says: "the library says",
    channels: "Which output channel reads which input channel",
    mixes: {
      1: "Every output channel reads every input channel: a full matrix.",
      2: "Two groups: block diagonal, two smaller FC layers side by side.",
      4: "Depthwise: a diagonal. With a 1×1 kernel, this is the one that multiplies each channel by a single number, its own.",
    },
    count: (p, full) => `${p} of ${full} weights`,
  },
  zh: {
    presets: "例子",
    names: {
      pointwise: "1×1",
      patch: "分块",
      whole: "盖住全部",
      overlap: "核为 3",
      gaps: "有空隙",
      padded: "填充",
      dilated: "空洞",
      grouped: "分组",
      depthwise: "逐通道",
    },
    kernel: "核大小",
    stride: "步长",
    padding: "填充",
    dilation: "空洞率",
    groups: "组数",
    window: (i) => `窗口 ${i + 1}`,
    reads: "被读次数",
    input: "输入的一条轴",
    zero: "填充",
    is: "是全连接层。",
    isNot: "拒绝。",
    cases: {
      pointwise: "pointwise（逐点）：所有位置共用一个全连接层，每次只读一个位置。",
      patch: "patch（分块）：所有小块共用一个全连接层，小块正好铺满输入。",
      whole: "whole（整图）：一个全连接层把整个输入读一次。",
    },
    perGroup: (g) => `${g} 组里各有一个这样的层。`,
    why: (r) =>
      /^padding/.test(r)
        ? "在边缘，窗口读到了输入中并不存在的零。"
        : /^dilation/.test(r)
          ? "同一窗口里的格子并不相邻：只靠变形切不出这些窗口。"
          : /overlap/.test(r)
            ? "相邻窗口读到相同的格子，它们的输入切不开。"
            : /gaps/.test(r)
              ? "有些格子没有窗口去读：只靠变形切不出这些窗口。"
              : /multiple/.test(r)
                ? "最后几格凑不成一个整块，被丢掉了。"
                : "",
    says: "库给出的判断（原文）",
    channels: "哪个输出通道读哪个输入通道",
    mixes: {
      1: "每个输出通道都读所有输入通道：一个满矩阵。",
      2: "分两组：块对角矩阵，相当于并排的两个小全连接层。",
      4: "逐通道卷积：对角矩阵。核为 1×1 时，它才是“每个通道只乘一个数”，各乘各的。",
    },
    count: (p, full) => `${full} 个权重中的 ${p} 个`,
  },
};

const PRESETS = {
  pointwise: [1, 1, 0, 1, 1],
  patch: [2, 2, 0, 1, 1],
  whole: [6, 1, 0, 1, 1],
  overlap: [3, 1, 0, 1, 1],
  gaps: [2, 3, 0, 1, 1],
  padded: [3, 3, 1, 1, 1],
  dilated: [2, 2, 0, 2, 1],
  grouped: [1, 1, 0, 1, 2],
  depthwise: [1, 1, 0, 1, 4],
};

function part6(stage, data, t, state) {
  const { size, channels, table, groups } = data.geometry;
  state.g ??= [...PRESETS.overlap];
  const figure = h("div", { class: "windows" });
  const verdict = h("div", { class: "verdict", "data-role": "verdict", "aria-live": "polite" });
  const mixing = h("div", { class: "mixing" });
  const controls = h("div", { class: "controls" });

  function windows() {
    const [kernel, stride, padding, dilation] = state.g;
    const reach = dilation * (kernel - 1) + 1;
    const count = Math.floor((size + 2 * padding - reach) / stride) + 1;
    const width = size + 2 * padding,
      cell = 34,
      left = 96,
      top = 34;
    const reads = Array(width).fill(0);
    const marks = [];
    for (let i = 0; i < count; i++)
      for (let j = 0; j < kernel; j++) {
        const c = i * stride + j * dilation;
        reads[c]++;
        marks.push(
          s("rect", {
            x: left + c * cell + 2,
            y: top + i * 30 + 2,
            width: cell - 4,
            height: 26,
            rx: 3,
            class: `tap tap${j % 6} ${c < padding || c >= size + padding ? "zero" : ""}`,
          }),
          s("text", { x: left + c * cell + cell / 2, y: top + i * 30 + 20, class: "taplabel" }, "abcdef"[j]),
        );
      }
    const columns = reads.map((n, c) => {
      const border = c < padding || c >= size + padding;
      return [
        s("rect", {
          x: left + c * cell,
          y: 4,
          width: cell,
          height: 22,
          class: border ? "axis zero" : "axis",
        }),
        s("text", { x: left + c * cell + cell / 2, y: 20, class: "caption" }, border ? "0" : c - padding + 1),
        s(
          "text",
          {
            x: left + c * cell + cell / 2,
            y: top + count * 30 + 20,
            class: `caption ${n === 1 || border ? "" : "wrong"}`,
          },
          border ? "" : `${n}×`,
        ),
      ];
    });
    return s(
      "svg",
      {
        viewBox: `0 0 ${left + width * cell + 6} ${top + count * 30 + 30}`,
        style: { "--wide": `${1.25 * (left + width * cell + 6)}px` },
        role: "img",
        "aria-label": `${t.input}: ${reads
          .slice(padding, size + padding)
          .map((n) => `${n}×`)
          .join(" ")}`,
      },
      columns,
      Array.from({ length: count }, (_, i) =>
        s("text", { x: 88, y: top + i * 30 + 20, class: "caption end" }, t.window(i)),
      ),
      s("text", { x: 88, y: top + count * 30 + 20, class: "caption end" }, t.reads),
      marks,
    );
  }

  function draw() {
    const [kernel, stride, padding, dilation, g] = state.g;
    const found = table[[kernel, stride, padding, dilation].join(",")];
    replace(figure, windows());
    verdict.className = `verdict ${found.case ? "good" : "bad"}`;
    replace(
      verdict,
      h("strong", {}, found.case ? t.is : t.isNot),
      h("span", {}, found.case ? t.cases[found.case] : t.why(found.refused)),
      found.case && g > 1 ? h("span", {}, t.perGroup(g)) : null,
      found.refused
        ? h("span", { class: "quiet" }, t.says, ": ", h("code", { lang: "en" }, found.refused))
        : null,
    );
    const block = channels / g;
    replace(
      mixing,
      h("p", { class: "label" }, t.channels),
      h(
        "div",
        { class: "blocks", role: "img", "aria-label": t.mixes[g], style: { "--columns": channels } },
        Array.from({ length: channels ** 2 }, (_, i) =>
          h("i", {
            class:
              Math.floor(Math.floor(i / channels) / block) === Math.floor((i % channels) / block) ? "on" : "",
          }),
        ),
      ),
      h(
        "p",
        { class: "note" },
        t.mixes[g],
        " ",
        h(
          "b",
          { "data-role": "weights" },
          t.count(((channels * channels) / g) * kernel ** 2, channels ** 2 * kernel ** 2),
        ),
      ),
    );
  }

  function build() {
    const valid = () => state.g[3] * (state.g[0] - 1) + 1 <= size + 2 * state.g[2];
    const knob = (i, name, min, max) =>
      slider(t[name], { min, max, value: state.g[i], id: name }, (v) => {
        const before = [...state.g];
        state.g[i] = v;
        if (!valid()) state.g = before;
        preset();
        draw();
      });
    const preset = () => {
      const at = Object.keys(PRESETS).find((name) => PRESETS[name].join() === state.g.join());
      for (const button of controls.querySelectorAll("[data-control=preset] button"))
        button.setAttribute("aria-pressed", String(button.dataset.choice === at));
    };
    replace(
      controls,
      choice(
        t.presets,
        Object.keys(PRESETS).map((name) => [name, t.names[name]]),
        null,
        (name) => {
          state.g = [...PRESETS[name]];
          build();
          draw();
          controls.querySelector(`[data-choice=${name}]`).focus();
        },
        "preset",
      ),
      h(
        "div",
        { class: "knobs" },
        knob(0, "kernel", 1, size),
        knob(1, "stride", 1, size),
        knob(2, "padding", 0, 1),
        knob(3, "dilation", 1, 2),
        slider(
          t.groups,
          {
            min: 0,
            max: groups.length - 1,
            value: groups.indexOf(state.g[4]),
            text: (v) => groups[v],
            id: "groups",
          },
          (v) => {
            state.g[4] = groups[v];
            preset();
            draw();
          },
        ),
      ),
    );
    preset();
  }
  build();
  stage.append(controls, h("div", { class: "beside six" }, figure, mixing), verdict);
  draw();
}

export { part6, labels6 };
