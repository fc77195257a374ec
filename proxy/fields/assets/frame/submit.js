// From what is typed to tokens: check everything, send it to Panless, and say what came of it.

const SECONDS = 30;
const ANSWERED = ["token", "cvc", "brand", "last4", "expiry", "name", "routing", "account"];
// What Panless may find wrong, as the mistake of a field that people know.
const MISTAKES = { pan_invalid: "number_invalid", pan_is_token: "number_invalid", cvc_invalid: "cvc_incomplete" };

/** An error as it is told to the page: a code, the field it belongs to, and a sentence that may be shown. */
export function problem(texts, code, more = {}) {
  return { code, field: null, retry: "after_correction", message: texts[`error.${code}`] ?? texts["error.tokenize_failed"], ...more };
}

/** Check all parts, show what is wrong and go to the first of it; return its problem or null. */
export function checked(parts, texts) {
  const names = parts.map((part) => part.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) return problem(texts, "field_repeated", { field: twice });
  let first = null;
  for (const part of parts) {
    const code = part.check();
    part.show(code);
    part.told();
    if (code && !first) first = { part, code };
  }
  if (!first) return null;
  first.part.input.focus();
  return problem(texts, first.code, { field: first.part.name });
}

function body(parts, { session, key, origin, name, token }) {
  const values = { session, key, origin };
  if (typeof name === "string" && name) values.name = name;
  if (typeof token === "string") values.token = token;
  for (const part of parts) values[part.name] = part.sent();
  return JSON.stringify(values);
}

async function refusal(answer, parts, texts) {
  const told = await answer.json().catch(() => ({}));
  const code = typeof told.code === "string" ? told.code : "tokenize_failed";
  const retry = typeof told.retry === "string" ? told.retry : "safe";
  const part = parts.find(({ name }) => name === told.at);
  const shown = MISTAKES[code] ?? (part && code === "value_invalid" ? `${part.name}_invalid` : code);
  const seconds = Number(answer.headers.get("Retry-After"));
  if (part && answer.status < 500) {
    part.show(shown);
    part.told();
    part.input.focus();
  }
  const after = seconds > 0 ? { retryAfter: seconds } : {};
  // Of what the customer cannot mend, whoever runs the page should see the reason. There is never a value in it.
  const why = !part && told.title ? { detail: `${told.title} ${told.detail} (request ${told.request_id})` } : {};
  return { ...problem(texts, shown, { field: part?.name ?? null, retry, ...after, ...why }), code };
}

/** Send the values of all parts; return `{result}` or `{error}`. Nothing typed is in either. */
export async function submit(parts, order, texts) {
  let answer;
  try {
    answer = await fetch("/v1/tokens", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: body(parts, order),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(SECONDS * 1000),
    });
  } catch {
    return { error: problem(texts, "network_failed", { retry: "safe" }) };
  }
  if (!answer.ok) return { error: await refusal(answer, parts, texts) };
  const told = await answer.json().catch(() => null);
  if (typeof told?.token !== "string") return { error: problem(texts, "tokenize_failed", { retry: "safe" }) };
  return { result: Object.fromEntries(ANSWERED.filter((key) => typeof told[key] === "string").map((key) => [key, told[key]])) };
}
