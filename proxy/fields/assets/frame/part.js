// One input with its rule: what is typed, whether it is right, and what is said about it.

import { overSeparator, regroup } from "./editing.js";

function made(name, attributes) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

export class Part {
  #plain = "";
  #error = null;
  #hear;
  #context;
  #texts;

  /** `hear(event, part)` is told of input, focus, blur and enter; `context()` gives the brand of the card. */
  constructor(rule, texts, context, hear) {
    this.rule = rule;
    this.name = rule.name;
    this.#texts = texts;
    this.#context = context;
    this.#hear = hear;
    this.input = made("input", {
      type: "text",
      name: rule.name,
      inputmode: rule.inputmode,
      autocomplete: rule.autocomplete,
      autocorrect: "off",
      autocapitalize: rule.name === "iban" ? "characters" : "off",
      spellcheck: "false",
      dir: "ltr",
      enterkeyhint: "done",
      placeholder: texts[`placeholder.${rule.name}`],
      "aria-label": texts[`label.${rule.name}`],
      "aria-required": "true",
    });
    this.message = made("p", { id: `${rule.name}-message`, role: "alert", class: "message" });
    this.#listen();
  }

  #listen() {
    const { input } = this;
    input.addEventListener("beforeinput", overSeparator);
    input.addEventListener("input", (event) => {
      if (!event.isComposing) this.#typed(event.inputType?.startsWith("delete"));
    });
    input.addEventListener("compositionend", () => this.#typed(false));
    input.addEventListener("change", () => this.#typed(false));
    input.addEventListener("focus", () => this.#hear("focus", this));
    input.addEventListener("blur", () => {
      if (this.#plain) this.show(this.check());
      this.#hear("blur", this);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.#hear("enter", this);
    });
  }

  #typed(deleting) {
    const before = this.#plain;
    this.#plain = regroup(this.input, this.rule, { ...this.#context(), deleting });
    if (this.#plain === before) return;
    this.show(null);
    this.#hear("input", this);
  }

  get empty() {
    return this.#plain === "";
  }

  get complete() {
    return this.check() === null;
  }

  get error() {
    return this.#error;
  }

  get focused() {
    return document.activeElement === this.input && document.hasFocus();
  }

  /** The brand of the card that stands here, and its last four digits once it is whole. */
  get brand() {
    return this.rule.brand?.(this.#plain) ?? null;
  }

  get last4() {
    return this.rule.brand && this.complete ? this.#plain.slice(-4) : null;
  }

  /** What is sent to Panless: never asked for by the shop's page. */
  sent() {
    return this.rule.sent(this.#plain);
  }

  /** The code of what is wrong, or null. */
  check() {
    return this.rule.check(this.#plain, this.#context());
  }

  /** Show a mistake by its code, or take it away with null. */
  show(code) {
    this.#error = code;
    this.message.textContent = code ? (this.#texts[`error.${code}`] ?? this.#texts["error.tokenize_failed"]) : "";
    this.input.classList.toggle("invalid", code !== null);
    if (code) {
      this.input.setAttribute("aria-invalid", "true");
      this.input.setAttribute("aria-describedby", this.message.id);
    } else {
      this.input.removeAttribute("aria-invalid");
      this.input.removeAttribute("aria-describedby");
    }
  }

  /** Put text in as if it had been pasted. */
  fill(text) {
    this.input.value = text;
    this.#typed(false);
    if (!this.focused && this.#plain) this.show(this.check());
    this.#hear("input", this);
  }

  /** The card has another brand now: what was right may be wrong, and the other way round. */
  refresh() {
    if (this.#error) this.show(this.#plain ? this.check() : null);
    this.#hear("input", this);
  }

  clear() {
    this.input.value = "";
    this.#plain = "";
    this.show(null);
    this.#hear("input", this);
  }
}
