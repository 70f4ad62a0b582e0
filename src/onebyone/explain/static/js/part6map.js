// Part 6, when it is almost: which cells of a network's last grid read nothing but the crop.

import { h, s, choice, arrows, replace } from "./dom.js";

const labels6map = {
  en: {
    network: "network",
    cell: "Last grid. Arrow keys move the cell.",
    row: "The last grid",
    crop: "What this cell reads, over the crop",
    equal: (e, c) => `${e} of ${c} cells of the last grid read the crop and nothing else.`,
    inside: "This cell reads only pixels of the crop: run over a larger image, it gives the same value.",
    outside: (r, c) =>
      `This cell reads ${r} rows and ${c} columns beyond the crop: zeros here, pixels in a larger image.`,
    field: (e, size) => `receptive field ${e}×${e}, crop ${size}×${size}`,
  },
  zh: {
    network: "网络",
    cell: "最后的网格。用方向键移动格子。",
    row: "最后的网格",
    crop: "这个格子读到的范围，画在裁剪图上",
    equal: (e, c) => `${c} 个格子中有 ${e} 个只读裁剪图之内的像素。`,
    inside: "这个格子只读裁剪图内的像素：在更大的图上运行，得到的值相同。",
    outside: (r, c) => `这个格子越过裁剪图边界 ${r} 行、${c} 列：在这里读到零，在更大的图上读到像素。`,
    field: (e, size) => `感受野 ${e}×${e}，裁剪图 ${size}×${size}`,
  },
};

function part6map(stage, data, t, state) {
  Object.assign(state, { network: 0, ...state });
  const body = h("div", { class: "padding" });
  const note = h("div", { class: "verdict", "data-role": "map", "aria-live": "polite" });

  function draw(focus) {
    const net = data.padding[state.network];
    state.p = Math.min(state.p ?? 0, net.cells - 1);
    const spans = net.inside.map((_, i) => [net.first + i * net.jump, net.first + i * net.jump + net.extent]);
    const [r, c] = [Math.floor(state.p / net.size), state.p % net.size];
    const low = Math.min(0, net.first),
      high = Math.max(net.crop, spans.at(-1)[1]),
      whole = high - low;
    const grid = h(
      "div",
      {
        class: "lastgrid",
        tabindex: 0,
        role: "group",
        "aria-label": t.cell,
        "data-role": "lastgrid",
        style: { "--columns": net.size },
      },
      Array.from({ length: net.cells }, (_, p) => {
        const good = net.inside[Math.floor(p / net.size)] && net.inside[p % net.size];
        return h(
          "i",
          {
            class: `${good ? "good" : "bad"} ${p === state.p ? "on" : ""}`,
            "data-cell": p,
            onpointermove: () => p !== state.p && choose(p),
            onclick: () => choose(p),
          },
          good ? "=" : "≠",
        );
      }),
    );
    arrows(
      grid,
      net.size,
      net.size,
      () => state.p,
      (p) => choose(p, true),
    );
    const top = spans[r][0],
      left = spans[c][0];
    const outside = ([begin, end]) => Math.max(0, -begin) + Math.max(0, end - net.crop);
    const beyond = outside(spans[r]) + outside(spans[c]);
    replace(
      body,
      h("div", {}, h("p", { class: "label" }, t.row), grid),
      h(
        "div",
        {},
        h("p", { class: "label" }, t.crop),
        s(
          "svg",
          {
            viewBox: `${low - 4} ${low - 4} ${whole + 8} ${whole + 8}`,
            class: "cropview",
            role: "img",
            "aria-label": t.field(net.extent, net.crop),
          },
          s("rect", { x: low, y: low, width: whole, height: whole, class: "outside" }),
          s("rect", { x: 0, y: 0, width: net.crop, height: net.crop, class: "crop" }),
          s("rect", {
            x: left,
            y: top,
            width: net.extent,
            height: net.extent,
            class: `reach ${beyond ? "bad" : "good"}`,
          }),
        ),
        h("p", { class: "note" }, t.field(net.extent, net.crop)),
      ),
    );
    note.className = `verdict ${beyond ? "bad" : "good"}`;
    replace(
      note,
      h("strong", {}, beyond ? t.outside(outside(spans[r]), outside(spans[c])) : t.inside),
      h("span", { "data-role": "equal" }, t.equal(net.equal, net.cells)),
    );
    if (focus) grid.focus();
  }
  const choose = (p, focus = false) => {
    state.p = p;
    draw(focus || document.activeElement?.dataset?.role === "lastgrid");
  };
  state.p ??= Math.floor(data.padding[0].cells / 2);
  stage.append(
    h(
      "div",
      { class: "controls" },
      choice(
        t.network,
        data.padding.map((net, i) => [i, net.name]),
        state.network,
        (i) => {
          state.network = i;
          state.p = Math.floor(data.padding[i].cells / 2);
          draw();
        },
        "network",
      ),
    ),
    body,
    note,
  );
  draw();
}

export { part6map, labels6map };
