// Accounts: the IBAN, and account and routing number of a bank in the United States.

import { alphanumeric, digits, ibanValid, routingValid } from "./digits.js";

export const iban = {
  name: "iban",
  autocomplete: "off",
  inputmode: "text",

  clean: (text) => alphanumeric(text).slice(0, 34),
  format: (plain) => plain.replace(/(.{4})(?=.)/g, "$1 "),

  check(plain) {
    if (!plain) return "iban_missing";
    if (!/^[A-Z]{0,2}$|^[A-Z]{2}[0-9]{1,2}/.test(plain)) return "iban_invalid";
    if (plain.length < 15) return "iban_incomplete";
    return /^[A-Z]{2}[0-9]{2}/.test(plain) && ibanValid(plain) ? null : "iban_invalid";
  },

  sent: (plain) => plain,
};

export const account = {
  name: "account",
  autocomplete: "off",
  inputmode: "numeric",

  clean: (text) => digits(text).slice(0, 17),
  format: (plain) => plain,

  check(plain) {
    if (!plain) return "account_missing";
    return plain.length < 4 ? "account_incomplete" : null;
  },

  sent: (plain) => plain,
};

export const routing = {
  name: "routing",
  autocomplete: "off",
  inputmode: "numeric",

  clean: (text) => digits(text).slice(0, 9),
  format: (plain) => plain,

  check(plain) {
    if (!plain) return "routing_missing";
    if (plain.length < 9) return "routing_incomplete";
    return routingValid(plain) ? null : "routing_invalid";
  },

  sent: (plain) => plain,
};
