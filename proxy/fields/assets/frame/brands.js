// The brands of card numbers, how long their numbers are, and how they are printed. Equal to the table of the vault.

// Order matters: the first prefix that fits is the brand.
const BRANDS = [
  ["amex", /^3[47]/, [15]],
  ["diners", /^3(?:0[0-5]|095|[689])/, [14, 16, 19]],
  ["jcb", /^35(?:2[89]|[3-8])/, [16, 17, 18, 19]],
  ["discover", /^6(?:011|4[4-9]|5)/, [16, 17, 18, 19]],
  ["unionpay", /^(?:62|81)/, [16, 17, 18, 19]],
  ["mir", /^220[0-4]/, [16, 17, 18, 19]],
  ["mastercard", /^(?:5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720))/, [16]],
  ["visa", /^4/, [16, 19]], // 13 are not issued any more: they would be the beginning of others, with last digits
  ["rupay", /^(?:508[5-9]|82|353|356)/, [16]],
  ["troy", /^9792/, [16]],
  ["maestro", /^(?:5[06-8]|6)/, [12, 13, 14, 15, 16, 17, 18, 19]],
];

const NAMES = {
  amex: "Amex",
  diners: "Diners",
  jcb: "JCB",
  discover: "Discover",
  unionpay: "UnionPay",
  mir: "Mir",
  mastercard: "Mastercard",
  visa: "Visa",
  rupay: "RuPay",
  troy: "Troy",
  maestro: "Maestro",
};

const fitting = (number) => BRANDS.filter(([, prefix]) => prefix.test(number.slice(0, 4)));

/** The brand of a card number by its first digits, or null. */
export function brandOf(number) {
  return fitting(number)[0]?.[0] ?? null;
}

/** How many digits numbers have that begin like this one, rising. Where no brand is known: what ISO/IEC 7812 allows. */
export function lengthsOf(number) {
  const lengths = fitting(number).flatMap(([, , known]) => known);
  return lengths.length ? [...new Set(lengths)].sort((a, b) => a - b) : [12, 13, 14, 15, 16, 17, 18, 19];
}

/** The name of a brand as people know it. */
export function brandName(brand) {
  return NAMES[brand] ?? "";
}

/** How many digits stand together in a printed number. */
export function groupsOf(number) {
  const brand = brandOf(number);
  if (brand === "amex") return [4, 6, 5];
  if (brand === "diners" && number.length <= 14) return [4, 6, 4];
  return [4, 4, 4, 4, 3];
}

/** How many digits the code of a brand's cards has; both where the brand is not known. */
export function codeLengths(brand) {
  if (!brand) return [3, 4];
  return brand === "amex" ? [4] : [3];
}
