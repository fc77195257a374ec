// One field in its frame: made when the page that it was made for says how it should look.

import { catchers } from "./autofill.js";
import { account, iban, routing } from "./bank.js";
import { brandName } from "./brands.js";
import { cvc } from "./cvc.js";
import { expiry } from "./expiry.js";
import { framedBy, link } from "./link.js";
import { number } from "./number.js";
import { join, partsOf } from "./siblings.js";
import { stateOf } from "./state.js";
import { apply } from "./style.js";
import { checked, submit } from "./submit.js";
import { Part } from "./part.js";

const RULES = { card: [number, expiry, cvc], number: [number], expiry: [expiry], cvc: [cvc], iban: [iban], account: [account], routing: [routing] };
// What the page has to say itself, because it happens there.
const TOLD = ["network_failed", "velocity_exceeded", "tokenize_failed", "field_session_ended"];
const TEXT = 120;

const config = JSON.parse(document.getElementById("config").textContent);
const { texts } = config;
const parts = [];
let tell = () => {};
let last = "";
let brand = null;
let busy = false;

const brandOfGroup = () => partsOf(config).find((part) => part.rule.brand)?.brand ?? null;

function told() {
  const state = stateOf(parts, texts);
  const written = JSON.stringify(state);
  if (written === last) return;
  last = written;
  tell("change", { state });
}

function brandChanged() {
  const own = parts.find((part) => part.rule.brand);
  if (!own || own.brand === brand) return;
  brand = own.brand;
  document.getElementById("brand").textContent = brandName(brand);
  tell("brand", { brand });
  for (const part of partsOf(config)) if (part.name === "cvc") part.refresh();
}

function heard(event, part) {
  if (event === "input") brandChanged();
  else tell(event, { part: part.name });
  told();
}

function words(option, name) {
  const text = typeof option === "object" && option !== null ? option[name] : option;
  return typeof text === "string" ? text.slice(0, TEXT) : null;
}

function dress(part, { placeholder, label }) {
  const shown = words(placeholder, part.name);
  const named = words(label, part.name);
  if (shown !== null) part.input.placeholder = shown;
  if (named) part.input.setAttribute("aria-label", named);
}

function light(scheme) {
  const dark = scheme === "dark";
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  document.documentElement.classList.toggle("dark", dark);
}

function build() {
  const form = document.getElementById("field");
  const row = document.createElement("div");
  row.className = "row";
  for (const rule of RULES[config.field]) {
    const part = new Part(rule, texts, () => ({ brand: brandOfGroup() }), heard);
    part.told = told;
    parts.push(part);
    row.append(part.input);
    if (rule.brand) row.append(Object.assign(document.createElement("span"), { id: "brand", ariaHidden: "true" }));
  }
  form.className = config.field;
  form.append(row, ...parts.map((part) => part.message));
  const others = catchers(parts.map((part) => part.name), (name, text) => partsOf(config).find((part) => part.name === name)?.fill(text));
  if (others) form.append(others);
  form.addEventListener("submit", (event) => event.preventDefault());
  new ResizeObserver(() => tell("height", { height: Math.ceil(form.getBoundingClientRect().height) })).observe(form);
}

/** The page says how the field should look: show it. */
function begin(options) {
  if (!parts.length) build();
  light(options.scheme);
  document.documentElement.classList.toggle("messages-outside", options.messages === false);
  const refused = apply(options.style);
  for (const part of parts) dress(part, options);
  document.documentElement.classList.add("shown");
  const spoken = Object.fromEntries(TOLD.map((code) => [code, texts[`error.${code}`]]));
  tell("ready", { title: texts[`title.${config.field}`], texts: spoken });
  if (refused.length) tell("error", { error: { code: "style_refused", message: `Not on the list of styles, or not with this value: ${refused.join(", ")}.` } });
  told();
}

async function sent({ id, session, name, token }) {
  if (busy) return;
  // Whatever the page asks for: what is half typed is not tried out.
  const wrong = checked(partsOf(config), texts);
  if (wrong) return tell("answer", { id, error: wrong });
  busy = true;
  const outcome = await submit(partsOf(config), { session, key: config.key, origin: config.origin, name, token }, texts);
  busy = false;
  tell("answer", { id, ...outcome });
}

const ORDERS = {
  init: ({ options }) => begin(options ?? {}),
  scheme: ({ scheme }) => light(scheme),
  focus: () => parts[0]?.input.focus(),
  clear: () => parts.forEach((part) => part.clear()),
  check: ({ id }) => tell("answer", { id, error: checked(partsOf(config), texts) ?? undefined }),
  tokenize: (order) => sent(order),
};

// Who comes back to the page, perhaps somebody else, finds nothing that was typed.
addEventListener("pagehide", () => parts.forEach((part) => part.clear()));

if (framedBy(config.origin)) {
  document.title = texts[`title.${config.field}`];
  join(config, () => parts);
  tell = link(config, (type, data) => Object.hasOwn(ORDERS, type) && (type === "init" || parts.length) && ORDERS[type](data));
  tell("loaded");
}
