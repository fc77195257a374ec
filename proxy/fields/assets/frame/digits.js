// Text as people type and paste it, made plain; and the check digits of ISO/IEC 7812-1, ISO 13616-1 and of ABA.

const FULL_WIDTH = /[\uff10-\uff19]/g;

/** Full-width digits, which East Asian keyboards type, as ASCII ones. */
export function ascii(text) {
  return text.replace(FULL_WIDTH, (digit) => String.fromCharCode(digit.charCodeAt(0) - 0xff10 + 48));
}

/** The ASCII digits of a text, nothing else. */
export function digits(text) {
  return ascii(text).replace(/[^0-9]/g, "");
}

/** The letters and digits of a text, in capitals. */
export function alphanumeric(text) {
  return ascii(text).replace(/[^0-9A-Za-z]/g, "").toUpperCase();
}

/** Whether digits pass the Luhn check (ISO/IEC 7812-1, annex B). */
export function luhnValid(number) {
  let sum = 0;
  for (let i = 0; i < number.length; i += 1) {
    const digit = Number(number[number.length - 1 - i]);
    sum += i % 2 ? (digit * 2 > 9 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

/** Whether an IBAN in capitals, without spaces, has its right check digits. */
export function ibanValid(iban) {
  let rest = 0;
  for (const char of iban.slice(4) + iban.slice(0, 4)) {
    for (const digit of parseInt(char, 36).toString()) rest = (rest * 10 + Number(digit)) % 97;
  }
  return rest === 1;
}

/** Whether nine digits are a routing number with its right check digit. */
export function routingValid(number) {
  const sum = [...number].reduce((total, digit, i) => total + Number(digit) * [3, 7, 1][i % 3], 0);
  return number.length === 9 && sum % 10 === 0;
}
