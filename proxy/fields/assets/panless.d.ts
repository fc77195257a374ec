/** What one frame asks for. `card` is number, expiry and verification code in one. */
export type FieldType = "card" | "number" | "expiry" | "cvc" | "iban" | "account" | "routing";

/** An input: those of a `card` field are `number`, `expiry` and `cvc`. */
export type PartName = Exclude<FieldType, "card">;

export type Brand =
  | "amex"
  | "diners"
  | "discover"
  | "jcb"
  | "maestro"
  | "mastercard"
  | "mir"
  | "rupay"
  | "troy"
  | "unionpay"
  | "visa";

/** The properties that may be set. Values that could fetch, place or tell anything are refused: see `style_refused`. */
export interface Looks {
  /** `#rgb`, `#rrggbb`, `rgb()`, `hsl()`, or a name. */
  color?: string;
  backgroundColor?: string;
  caretColor?: string;
  /** Fonts that the customer's device has; no font is loaded. */
  fontFamily?: string;
  /** `8px` to `64px`, or in `em` or `rem`. */
  fontSize?: string;
  /** `normal`, `bold`, or `100` to `900`. */
  fontWeight?: string;
  letterSpacing?: string;
  /** A factor from 1 to 3.99, or a length. */
  lineHeight?: string;
  /** One to four lengths. */
  padding?: string;
  textAlign?: "left" | "right" | "center" | "start" | "end";
}

export interface Style {
  /** How a field looks. */
  base?: Looks;
  /** How it looks while it has the focus. */
  focus?: Looks;
  /** How it looks while a mistake is shown. */
  invalid?: Looks;
  /** How the placeholder looks. */
  placeholder?: Looks;
  /** Left out: the `color-scheme` of the element that the field is mounted into. */
  colorScheme?: "light" | "dark";
}

export interface FieldOptions {
  /** Left out: one in the customer's language. For `card`, one of each input. */
  placeholder?: string | Partial<Record<PartName, string>>;
  /** The accessible name. Left out: one in the customer's language. For `card`, one of each input. */
  label?: string | Partial<Record<PartName, string>>;
  style?: Style;
  /** `false`: mistakes are read out by screen readers, but shown by your page, from the event `change`. */
  messages?: boolean;
}

/** A mistake that the customer made, with a sentence to show. */
export interface Mistake {
  code: string;
  field: PartName;
  message: string;
}

/** What is known of a field. It never holds what was typed. */
export interface FieldState {
  field: FieldType;
  empty: boolean;
  /** Everything is there and passes its checks. */
  complete: boolean;
  /** No mistake is shown. */
  valid: boolean;
  error?: Mistake;
  brand?: Brand;
  /** Only of a complete number, once the customer has left it. */
  last4?: string;
}

export interface EventMap {
  ready: { field: FieldType };
  change: FieldState;
  focus: { field: FieldType; part: PartName };
  blur: { field: FieldType; part: PartName };
  /** `field_unreachable`: the frame did not load within ten seconds. `style_refused`: part of a style is not on the list. */
  error: { field: FieldType; error: PanlessError };
  brand: { field: FieldType; brand: Brand | null };
  /** Somebody pressed Enter in the field. */
  enter: { field: FieldType; part: PartName };
}

export interface Field {
  readonly type: FieldType;
  readonly mounted: boolean;
  /** Put the field into an element of the document (not in a shadow root), or into the first one of a selector. */
  mount(target: string | Element): this;
  /** Take it out again; what was typed is lost. */
  unmount(): this;
  focus(): void;
  clear(): void;
  /** Listen; returns what ends it. */
  on<E extends keyof EventMap>(event: E, listener: (detail: EventMap[E]) => void): () => void;
}

/** What came of the values typed: only what applies is there. */
export interface Tokens {
  /** The card's, the IBAN's or the account's token. */
  token: string;
  /** A token for the verification code, which ends after the first payment. */
  cvc?: string;
  brand?: Brand;
  last4?: string;
  /** `MM/YYYY`. */
  expiry?: string;
  /** A token for the name. */
  name?: string;
  /** A token for the routing number. */
  routing?: string;
}

export interface Group {
  create(type: FieldType, options?: FieldOptions): Field;
  /** Listen to all fields of the group; returns what ends it. */
  on<E extends keyof EventMap>(event: E, listener: (detail: EventMap[E]) => void): () => void;
  /**
   * Check all fields, and swap what is typed for tokens. While one call is under way, another gets its outcome.
   * @throws PanlessError
   */
  tokenize(options?: { name?: string }): Promise<Tokens>;
}

export interface GroupOptions {
  /** Left out: the language of the page (`<html lang>`), or English. */
  locale?: string;
  style?: Style;
  /** The token of a saved card: a `cvc` field then gives it a new verification code. */
  token?: string;
}

/** A failure that the customer may be told of. */
export interface PanlessError extends Error {
  /** Stable; see docs/errors.md and docs/hosted-fields.md. */
  readonly code: string;
  /** The field that it belongs to. */
  readonly field: FieldType | null;
  /** In the language of the fields, fit to be shown. */
  readonly message: string;
  /** `safe`: again as it is. `after_correction`: once something is changed. */
  readonly retry: "safe" | "after_correction" | "with_idempotency_key" | "never";
  /** Seconds to wait before the next attempt. */
  readonly retryAfter?: number;
  /** What whoever runs the page should know, in English: not to be shown. */
  readonly detail?: string;
}

export interface PanlessFields {
  /** A group of fields that belong together; a page may have several. */
  fields(options?: GroupOptions): Group;
  /**
   * Swap the payload of a wallet for a token.
   * @throws PanlessError
   */
  wallet(wallet: "apple_pay" | "google_pay", payload: object | string): Promise<{ token: string; wallet: string }>;
}

export interface PanlessStatic {
  /** @param key a publishable key, `pk_...` */
  (key: string, options?: { locale?: string }): PanlessFields;
  PanlessError: { new (...args: never[]): PanlessError };
}

export declare const Panless: PanlessStatic;
export default Panless;

declare global {
  /** With the plain script. */
  const Panless: PanlessStatic;
  interface Window {
    Panless: PanlessStatic;
  }
}
