// Mounts the parts into the prose of the chosen language; switches language, theme and motion.

import { hero, labels0 } from "./hero.js";
import { part1, labels1 } from "./part1.js";
import { part2, labels2 } from "./part2.js";
import { part3, labels3 } from "./part3.js";
import { part4, labels4 } from "./part4.js";
import { part5, labels5 } from "./part5.js";
import { part6, labels6 } from "./part6.js";
import { part6map, labels6map } from "./part6map.js";
import { part7, labels7 } from "./part7.js";
import { part8, labels8 } from "./part8.js";

const PARTS = {
  0: [hero, labels0],
  1: [part1, labels1],
  2: [part2, labels2],
  3: [part3, labels3],
  4: [part4, labels4],
  5: [part5, labels5],
  6: [part6, labels6],
  "6map": [part6map, labels6map],
  7: [part7, labels7],
  8: [part8, labels8],
};
const root = document.documentElement;
const data = JSON.parse(document.getElementById("data").textContent);
// What a reader chose in a part outlives a switch of language.
const states = Object.fromEntries(Object.keys(PARTS).map((part) => [part, {}]));

function show(lang) {
  root.lang = lang === "zh" ? "zh-Hans" : "en";
  for (const element of document.querySelectorAll("[data-lang]"))
    element.hidden = element.dataset.lang !== lang;
  for (const stage of document.querySelectorAll("[data-stage]")) {
    stage.replaceChildren();
    if (stage.closest("[data-lang]").hidden) continue;
    const [mount, labels] = PARTS[stage.dataset.stage];
    mount(stage, data, labels[lang], states[stage.dataset.stage], lang);
  }
  document.title = document.querySelector(`[data-lang=${lang}] h1`).textContent;
  for (const button of document.querySelectorAll("[data-switch=lang] button"))
    button.setAttribute("aria-pressed", String(button.value === lang));
}

// A switch whose value is an attribute of <html>; "auto" leaves it to the system.
function toggle(name, values) {
  for (const button of document.querySelectorAll(`[data-switch=${name}]`))
    button.addEventListener("click", () => {
      const [system, a, b] = values();
      const now = root.dataset[name] ?? system;
      root.dataset[name] = now === a ? b : a;
      for (const twin of document.querySelectorAll(`[data-switch=${name}]`))
        twin.setAttribute("aria-pressed", String(root.dataset[name] === b));
    });
}

for (const button of document.querySelectorAll("[data-switch=lang] button"))
  button.addEventListener("click", () => {
    const at = [...document.querySelectorAll("main:not([hidden]) section.part")].findIndex(
      (part) => part.getBoundingClientRect().bottom > innerHeight / 2,
    );
    show(button.value);
    const part = document.querySelectorAll("main:not([hidden]) section.part")[at];
    if (at > 0) part.scrollIntoView({ behavior: "instant" });
  });
toggle("theme", () => [
  matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light",
  "light",
  "dark",
]);
toggle("motion", () => [matchMedia("(prefers-reduced-motion: reduce)").matches ? "off" : "on", "on", "off"]);

show(root.dataset.start);
root.dataset.ready = Math.round(performance.now()); // milliseconds since the page was opened

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries)
      if (entry.isIntersecting)
        for (const link of document.querySelectorAll("nav a"))
          link.toggleAttribute("aria-current", link.hash === `#${entry.target.id}`);
  },
  { rootMargin: "-45% 0px -45% 0px" },
);
for (const part of document.querySelectorAll("section.part")) seen.observe(part);
