// Part 1, the calculation at one pixel as a table: channels × weights, and their sum.

import { h, group, num } from "./dom.js";

// `scale` is the one scalar of the misunderstanding, or null; `hidden` channels are summed in one line.
export function sumsTable(layer, { p, n, K }, t, { ks, scale, hidden, own, total }) {
  const digits = own ? 4 : 2;
  const products = ks.map((k) => layer.x(p, k) * (scale ?? layer.w(n, k)));
  const column = (name) => h("th", { scope: "col" }, name);
  const head = h("tr", {}, column(t.channel), column(t.x), h("td"), column(t.w), h("td"), column(t.p));
  const body = ks.map((k, i) =>
    h(
      "tr",
      { "data-key": `k${k}` },
      h("th", { scope: "row" }, !own && K === 3 ? "RGB"[k] : k + 1),
      h("td", {}, num("x", layer.x(p, k), `k${k}`, digits)),
      h("td", { class: "op" }, "×"),
      h("td", {}, num("w", scale ?? layer.w(n, k), `k${k}`, digits)),
      h("td", { class: "op" }, "="),
      h("td", {}, num(scale === null ? "p" : "y", products[i], `k${k}`, digits)),
    ),
  );
  const line = (name, node, kind) =>
    h("tr", { class: kind }, h("th", { scope: "row", colspan: 5 }, name), h("td", {}, node));
  const rest = total - layer.b(n) - products.reduce((sum, v) => sum + v, 0);
  const foot = [
    hidden > 0 && line(t.others(group(hidden)), num("p", rest, "rest", digits)),
    own && line(t.bias, num("b", layer.b(n), "b", digits)),
    line(t.sum(n), num("y", total, `y${n}`, digits), "total"),
  ];
  const table = h(
    "table",
    { "data-role": "sums" },
    h("thead", {}, head),
    h("tbody", {}, body),
    scale === null ? h("tfoot", {}, foot) : null,
  );
  return scale === null ? [table] : [table, h("p", { class: "note" }, t.nothing)];
}
