// What the shop may decide about looks: names and values on lists, none of which can fetch, place or tell anything.

const LENGTH = /^-?[0-9]{1,3}(?:\.[0-9]{1,3})?(?:px|em|rem)$|^0$/;
const COLOR = /^(?:#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})|[a-z]{3,24}|(?:rgb|hsl)a?\([0-9., %/deg-]{1,48}\))$/i;
const FAMILY = /^(?:[a-z][a-z0-9 -]{0,48}|"[a-z0-9 -]{1,48}"|'[a-z0-9 -]{1,48}')$/i;
const MOST = { px: 64, em: 4, rem: 4 };
const MAX_LENGTH = 200;

function length(value, least = 0) {
  if (!LENGTH.test(value)) return false;
  const size = parseFloat(value);
  return size >= least && size <= (MOST[value.replace(/[-0-9.]/g, "")] ?? 0);
}

const GRAMMAR = {
  color: (value) => COLOR.test(value),
  "background-color": (value) => COLOR.test(value),
  "caret-color": (value) => COLOR.test(value),
  "font-family": (value) => value.split(",").every((name) => FAMILY.test(name.trim())),
  "font-size": (value) => length(value, value.endsWith("px") ? 8 : 0.5),
  "font-weight": (value) => /^(?:normal|bold|[1-9]00)$/.test(value),
  "letter-spacing": (value) => value === "normal" || length(value, -4),
  // No `normal`: the height of a field would then depend on what is typed into it.
  "line-height": (value) => /^[1-3](?:\.[0-9]{1,2})?$/.test(value) || length(value, value.endsWith("px") ? 8 : 0.5),
  padding: (value) => value.split(" ").length <= 4 && value.split(" ").every((part) => length(part)),
  "text-align": (value) => /^(?:left|right|center|start|end)$/.test(value),
};

const STATES = { base: "input", focus: "input:focus", invalid: "input.invalid", placeholder: "input::placeholder" };

const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Whether a value of a property is on the list. */
export function allowed(property, value) {
  return (
    Object.hasOwn(GRAMMAR, property) &&
    typeof value === "string" &&
    value.length <= MAX_LENGTH &&
    !/[;{}\\@!]|url|var\(|\/\*/i.test(value) &&
    GRAMMAR[property](value)
  );
}

/** Sort a style into declarations `[state, property, value]` and the names of what is refused. */
export function sorted(style) {
  const declarations = [];
  const refused = [];
  for (const [state, properties] of Object.entries(style ?? {})) {
    if (state === "colorScheme" && /^(?:light|dark)$/.test(properties)) continue;
    if (!Object.hasOwn(STATES, state) || typeof properties !== "object" || properties === null) {
      refused.push(state);
      continue;
    }
    for (const [name, value] of Object.entries(properties)) {
      if (allowed(kebab(name), value)) declarations.push([state, kebab(name), value]);
      else refused.push(`${state}.${name}`);
    }
  }
  return { declarations, refused: refused.map((name) => name.slice(0, 60)).slice(0, 10) };
}

/** Apply what is allowed of a style and return the names of what is not. */
export function apply(style) {
  const { declarations, refused } = sorted(style);
  const sheet = new CSSStyleSheet();
  const rules = {};
  for (const [state, selector] of Object.entries(STATES)) {
    rules[state] = sheet.cssRules[sheet.insertRule(`${selector} {}`, sheet.cssRules.length)];
  }
  for (const [state, property, value] of declarations) rules[state].style.setProperty(property, value);
  document.adoptedStyleSheets = [sheet];
  return refused;
}
