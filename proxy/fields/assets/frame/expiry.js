// The month in which a card ends: typed as "MM / YY", sent as "MM/YYYY".

import { ascii, digits } from "./digits.js";

const YEARS_AHEAD = 50;
// It is still the last day of the month somewhere for half a day after it ended in UTC.
const HALF_A_DAY = 12 * 60 * 60 * 1000;

function twoDigits(month) {
  if (month.length === 1 && month > "1") return `0${month}`;
  if (month.length === 2 && Number(month) > 12) return `0${month[0]}`;
  return month;
}

/** Split what was typed or pasted into month and year, as far as they are there. */
function split(text) {
  const plain = ascii(text).replace(/[^0-9]+/g, "/").replace(/^\//, "");
  const yearFirst = /^(20[0-9]{2})\/?([0-9]{1,2})$/.exec(plain);
  if (yearFirst && (plain.includes("/") || Number(plain.slice(0, 2)) > 12)) {
    return [yearFirst[2].padStart(2, "0"), yearFirst[1]];
  }
  const parted = /^([0-9]{1,2})\/([0-9]*)/.exec(plain);
  if (parted) {
    const month = twoDigits(parted[1].padStart(2, "0"));
    const spilled = parted[1].length === 2 && Number(parted[1]) > 12 ? parted[1][1] : "";
    return [month, spilled + parted[2]];
  }
  const run = plain.replace(/\//g, "");
  const month = twoDigits(run.slice(0, 2));
  const used = month === run.slice(0, 2) ? 2 : 1;
  return [month, run.slice(used)];
}

export const expiry = {
  name: "expiry",
  autocomplete: "cc-exp",
  inputmode: "numeric",

  /** Digits: two of the month, then two or four of the year. Nothing is put in while somebody deletes. */
  clean(text, { deleting = false } = {}) {
    if (deleting) return digits(text).slice(0, 6);
    const [month, year] = split(text);
    return month + (month.length === 2 ? year.slice(0, year.startsWith("20") ? 4 : 2) : "");
  },

  format(plain) {
    return plain.length < 2 ? plain : `${plain.slice(0, 2)} / ${plain.slice(2)}`;
  },

  /** `now` in milliseconds since 1970. */
  check(plain, { now = Date.now() } = {}) {
    if (!plain) return "expiry_missing";
    if (plain.length !== 4 && plain.length !== 6) return "expiry_incomplete";
    const month = Number(plain.slice(0, 2));
    if (month < 1 || month > 12) return "expiry_invalid";
    const year = Number(plain.slice(2).padStart(4, "20"));
    const today = new Date(now - HALF_A_DAY);
    const ahead = (year - today.getUTCFullYear()) * 12 + (month - 1 - today.getUTCMonth());
    if (ahead < 0) return "expiry_past";
    return ahead > YEARS_AHEAD * 12 ? "expiry_invalid" : null;
  },

  sent: (plain) => `${plain.slice(0, 2)}/${plain.slice(2).padStart(4, "20")}`,
};
