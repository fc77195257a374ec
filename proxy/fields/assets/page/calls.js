async function post(path, body, sayings = {}) {
  const failed = (code, more) => new PanlessError({ code, message: sayings[code] ?? sayings.tokenize_failed, ...more });
  let answer;
  try {
    answer = await fetch(ORIGIN + path, {
      method: "POST",
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      referrerPolicy: "no-referrer",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(READY_MS * 3),
    });
  } catch {
    throw failed("network_failed");
  }
  const told = (await answer.json().catch(() => null)) ?? {};
  if (answer.ok && (told.session ?? told.token)) return told;
  const seconds = Number(answer.headers.get("Retry-After"));
  const detail = told.title && `${told.title} ${told.detail} (request ${told.request_id})`;
  throw failed(told.code ?? "tokenize_failed", { retry: told.retry, retryAfter: seconds > 0 ? seconds : undefined, detail });
}

/** Do something with a new session; once more with another where that one had ended. */
async function inSession(key, work, sayings) {
  for (let again = true; ; again = false) {
    const { session } = await post("/v1/sessions", { key }, sayings);
    try {
      return await work(session);
    } catch (error) {
      if (error.code !== "field_session_ended" || !again) throw error;
    }
  }
}
