// The one thread between this frame and the page that holds it: told to its origin only, heard from it only.

/** Whether the page that holds this frame may be the one it was made for. */
export function framedBy(origin) {
  if (window.parent === window) return false;
  const ancestors = window.location.ancestorOrigins;
  return !ancestors || ancestors[0] === origin;
}

/** Return `tell(type, data)`; `hear(type, data)` gets what the page says on this channel. */
export function link({ origin, channel }, hear) {
  window.addEventListener("message", (event) => {
    const data = event.data;
    if (event.source !== window.parent || event.origin !== origin) return;
    if (typeof data !== "object" || data === null || data.panless !== channel) return;
    hear(data.type, data);
  });
  return (type, data = {}) => window.parent.postMessage({ ...data, panless: channel, type }, origin);
}
