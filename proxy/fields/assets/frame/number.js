// The card number: cleaned, grouped, checked.

import { brandOf, groupsOf, lengthsOf } from "./brands.js";
import { digits, luhnValid } from "./digits.js";

export const number = {
  name: "number",
  autocomplete: "cc-number",
  inputmode: "numeric",

  clean(text) {
    const plain = digits(text);
    return plain.slice(0, Math.max(...lengthsOf(plain)));
  },

  format(plain) {
    const groups = [];
    let at = 0;
    for (const size of groupsOf(plain)) {
      if (at < plain.length) groups.push(plain.slice(at, at + size));
      at += size;
    }
    return groups.join(" ");
  },

  check(plain) {
    if (!plain) return "number_missing";
    const lengths = lengthsOf(plain);
    if (plain.length < lengths[0]) return "number_incomplete";
    const whole = lengths.includes(plain.length) && luhnValid(plain) && new Set(plain).size > 1;
    if (whole) return null;
    return lengths.includes(plain.length) || plain.length > 16 ? "number_invalid" : "number_incomplete";
  },

  sent: (plain) => plain,
  brand: brandOf,
};
