// Panless hosted fields: what a shop's page loads. It holds frames; what is typed into them never comes here.

const SCRIPT = __PANLESS_SCRIPT__;
const ORIGIN = new URL(SCRIPT).origin;
const READY_MS = 10_000;
const LOADED_MS = 1_000;
const ANSWER_MS = 40_000;
// Which fields stand together, and which of them has to be there for a token.
const FAMILIES = { card: ["card"], parts: ["number", "expiry", "cvc"], iban: ["iban"], bank: ["account", "routing"] };
const MAIN = ["card", "number", "iban", "account"];
const TYPES = Object.values(FAMILIES).flat();
const TOKEN = /^(?:tok_[0-9a-z]{26}|[0-9]{12,19})$/;
// Elements that show nothing of what is put into them.
const HOLLOW = /^(?:AREA|AUDIO|BR|BUTTON|CANVAS|EMBED|HR|IFRAME|IMG|INPUT|METER|OBJECT|PROGRESS|SELECT|TEXTAREA|VIDEO)$/;
const EVENTS = ["ready", "change", "focus", "blur", "error", "brand", "enter"];
const SAYINGS = {
  field_unreachable: "The secure field could not be loaded. Please check your connection and reload the page.",
  network_failed: "The connection failed. Please try again.",
  tokenize_failed: "Your details could not be saved. Please try again.",
};

/** A failure that the customer may be told of: `message` is fit to be shown, `code` is stable. */
class PanlessError extends Error {
  constructor({ code, message, field = null, retry = "safe", retryAfter, detail }) {
    super(message || SAYINGS[code] || SAYINGS.tokenize_failed);
    this.name = "PanlessError";
    this.code = code;
    this.field = field;
    this.retry = retry;
    if (retryAfter) this.retryAfter = retryAfter;
    if (detail) this.detail = detail;
  }
}

/** A mistake of who wrote the page. */
function misused(sentence) {
  return new TypeError(`Panless: ${sentence}`);
}

function only(given, names, what) {
  if (given === undefined || given === null) return {};
  if (typeof given !== "object") throw misused(`the options of ${what} have to be an object.`);
  const alien = Object.keys(given).find((name) => !names.includes(name));
  if (alien) throw misused(`${what} has no option "${alien}"; there are ${names.join(", ")}.`);
  return given;
}

class Listeners {
  #of = new Map();

  on(event, listener) {
    if (!EVENTS.includes(event)) throw misused(`there is no event "${event}"; there are ${EVENTS.join(", ")}.`);
    if (typeof listener !== "function") throw misused(`the listener of "${event}" has to be a function.`);
    if (!this.#of.has(event)) this.#of.set(event, new Set());
    this.#of.get(event).add(listener);
    return () => this.#of.get(event).delete(listener);
  }

  /** Tell all listeners; return whether there were any. */
  tell(event, detail) {
    const listeners = [...(this.#of.get(event) ?? [])];
    for (const listener of listeners) listener(detail);
    return listeners.length > 0;
  }
}
