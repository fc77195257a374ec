// The verification code: three digits, four on cards of one brand.

import { codeLengths } from "./brands.js";
import { digits } from "./digits.js";

export const cvc = {
  name: "cvc",
  autocomplete: "cc-csc",
  inputmode: "numeric",

  clean: (text, { brand } = {}) => digits(text).slice(0, Math.max(...codeLengths(brand))),
  format: (plain) => plain,

  check(plain, { brand } = {}) {
    if (!plain) return "cvc_missing";
    return codeLengths(brand).includes(plain.length) ? null : "cvc_incomplete";
  },

  sent: (plain) => plain,
};
