// Small helpers: elements, numbers as text, controls, linked highlights, roving focus.

const SVG = "http://www.w3.org/2000/svg";
const MATHML = "http://www.w3.org/1998/Math/MathML";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return node;
}

export const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);
export const m = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(MATHML, tag), attributes, children);

// A number with at most `digits` decimals, without trailing zeros, with a true minus sign.
export function fmt(value, digits = 2) {
  const rounded = Number(value.toFixed(digits));
  if (rounded !== 0 || value === 0) return String(rounded === 0 ? 0 : rounded).replace("-", "−");
  return value.toExponential(1).replaceAll("-", "−");
}

export const group = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");

// A number on the page: coloured by role (x, w, b, y, p), linked by key, exact in data-value.
export const num = (role, value, key, digits) =>
  h("span", { class: `num ${role}`, "data-key": key, "data-value": value }, fmt(value, digits));

// A cell of a heat map: a square whose side grows with |value|; hollow where it is negative.
export const dot = (role, value, top, key, extra = "") =>
  h("i", {
    class: `dot ${role} ${value < 0 ? "minus" : ""} ${extra}`,
    "data-key": key,
    "data-value": value,
    style: {
      "--m":
        value === 0 ? 0 : Math.max(0.12, Math.sqrt(Math.min(1, Math.abs(value) / (top || 1)))).toFixed(3),
    },
  });

export function slider(label, { min, max, step = 1, value, text = fmt, id }, change) {
  const output = h("output", {}, text(value));
  const input = h("input", { type: "range", min, max, step, value, "aria-label": label, "data-control": id });
  input.setAttribute("aria-valuetext", text(value));
  input.addEventListener("input", () => {
    output.textContent = text(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
    change(Number(input.value));
  });
  return h("label", { class: "slider" }, h("span", {}, label), input, output);
}

export function choice(label, options, value, change, id) {
  const buttons = options.map(([key, text]) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(key === value),
        "data-choice": key,
        onclick: () => {
          for (const button of buttons)
            button.setAttribute("aria-pressed", String(button.dataset.choice === String(key)));
          change(key);
        },
      },
      text,
    ),
  );
  return h(
    "div",
    { class: "labelled" },
    h("span", {}, label),
    h("div", { class: "choice", role: "group", "aria-label": label, "data-control": id }, buttons),
  );
}

// Pointing at or focusing a [data-key] marks every element of `root` with that key as "hot", and
// those that `related(key)` names as "warm". Keys are separated by spaces.
export function linked(root, related = () => []) {
  let current = null;
  const mark = (element) => {
    const key = element?.closest?.("[data-key]")?.dataset.key ?? null;
    if (key === current) return;
    current = key;
    for (const node of root.querySelectorAll(".hot, .warm")) node.classList.remove("hot", "warm");
    if (key === null) return;
    const hot = key.split(" ");
    const warm = new Set(hot.flatMap(related));
    for (const node of root.querySelectorAll("[data-key]")) {
      const keys = node.dataset.key.split(" ");
      if (keys.some((k) => hot.includes(k))) node.classList.add("hot");
      else if (keys.some((k) => warm.has(k))) node.classList.add("warm");
    }
  };
  root.addEventListener("pointerover", (event) => mark(event.target));
  root.addEventListener("pointerleave", () => mark(null));
  root.addEventListener("focusin", (event) => mark(event.target));
  root.addEventListener("focusout", () => mark(null));
}

// One tab stop for a group of elements; arrow keys move inside it.
export function roving(container, selector) {
  const items = () => [...container.querySelectorAll(selector)];
  items().forEach((item, i) => item.setAttribute("tabindex", i ? "-1" : "0"));
  container.addEventListener("keydown", (event) => {
    const list = items();
    const at = list.indexOf(event.target);
    if (at < 0) return;
    const to = {
      ArrowRight: at + 1,
      ArrowDown: at + 1,
      ArrowLeft: at - 1,
      ArrowUp: at - 1,
      Home: 0,
      End: list.length - 1,
    }[event.key];
    if (to === undefined || !list[to]) return;
    event.preventDefault();
    list[at].setAttribute("tabindex", "-1");
    list[to].setAttribute("tabindex", "0");
    list[to].focus();
  });
}

// Arrow keys (and a pointer, through `onpick`) choose a cell of a rows × columns grid.
export function arrows(element, rows, columns, get, set) {
  element.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = get();
    const row = Math.min(rows - 1, Math.max(0, Math.floor(at / columns) + step[0]));
    const column = Math.min(columns - 1, Math.max(0, (at % columns) + step[1]));
    set(row * columns + column);
  });
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}
