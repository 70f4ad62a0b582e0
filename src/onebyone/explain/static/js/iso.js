// Maps drawn as tilted planes of tiles.

import { s } from "./dom.js";

// The upper corner of the tile in row r, column c; `a` is half a tile's width.
export const corner = (r, c, x0, y0, a) => [x0 + (c - r) * a, y0 + ((r + c) * a) / 2];

// A plane of rows × columns tiles; `tile(p)` gives the attributes of tile p. The lit tile comes last,
// over its neighbours.
export function plane(rows, columns, x0, y0, a, lit, tile) {
  const tiles = Array.from({ length: rows * columns }, (_, p) => {
    const [x, y] = corner(Math.floor(p / columns), p % columns, x0, y0, a);
    const points = `${x},${y} ${x + a},${y + a / 2} ${x},${y + a} ${x - a},${y + a / 2}`;
    const { role, level, ...more } = tile(p);
    return s("polygon", {
      points,
      class: `tile ${role} ${p === lit ? "on" : ""}`,
      style: { "--m": level.toFixed(2) },
      ...more,
    });
  });
  return s(
    "g",
    {},
    tiles.filter((_, p) => p !== lit),
    tiles[lit],
  );
}

// How strongly a tile is coloured: from nearly paper at 0 to full at `top`.
export const shade = (value, top) => 0.08 + 0.82 * Math.min(1, Math.abs(value) / (top || 1));

// Planes above each other, centred at (x0, middle), with a skewer through the lit tiles.
export function stack({ rows, columns, depth, a, x0, middle, lit, role, level, key, pick }) {
  const gap = depth > 1 ? Math.min(50, 120 / (depth - 1)) : 0;
  const left = x0 + ((rows - columns) * a) / 2;
  const top = middle - ((rows + columns) * (a / 2) + (depth - 1) * gap) / 2;
  const planes = Array.from({ length: depth }, (_, d) =>
    plane(rows, columns, left, top + d * gap, a, lit, (p) => ({
      role,
      level: level(p, d),
      "data-key": p === lit ? key(d) : null,
      onpointermove: () => p !== lit && pick(p),
      onclick: () => pick(p),
    })),
  );
  const [x, y] = corner(Math.floor(lit / columns), lit % columns, left, top + a / 2, a);
  const skewer = s("line", { class: "skewer", x1: x, x2: x, y1: y - 24, y2: y + (depth - 1) * gap + 20 });
  return s("g", {}, planes.reverse(), skewer);
}
