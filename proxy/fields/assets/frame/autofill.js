// A browser fills in a card where it finds all its fields together. In each frame of a card are, off the screen, inputs
// for the fields of the other frames; what is filled into them goes there, and nowhere else.

import { cvc } from "./cvc.js";
import { expiry } from "./expiry.js";
import { number } from "./number.js";

const CARD = [number, expiry, cvc];

function catcher(rule, hand) {
  const input = document.createElement("input");
  input.name = `other-${rule.name}`;
  input.autocomplete = rule.autocomplete;
  input.tabIndex = -1;
  input.type = "text";
  const caught = () => {
    const text = input.value;
    input.value = "";
    if (text) hand(rule.name, text);
  };
  input.addEventListener("input", caught);
  input.addEventListener("change", caught);
  return input;
}

/** Return an element with inputs for what `own` has not, or null. `hand(name, text)` passes on what is caught. */
export function catchers(own, hand) {
  if (!own.some((name) => CARD.some((rule) => rule.name === name))) return null;
  const others = CARD.filter((rule) => !own.includes(rule.name));
  if (!others.length) return null;
  const box = document.createElement("div");
  box.className = "others";
  box.setAttribute("aria-hidden", "true");
  box.append(...others.map((rule) => catcher(rule, hand)));
  return box;
}
