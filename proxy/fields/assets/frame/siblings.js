// The other frames of a group: of the same origin, so that they reach each other and the shop's page reaches none.

const NAME = "panlessField";

/** Show this frame to its siblings. `parts()` gives its inputs. */
export function join(config, parts) {
  const { channel, key, origin } = config;
  Object.defineProperty(window, NAME, { value: Object.freeze({ channel, key, origin, parts }) });
}

function memberOf(frame, { channel, key, origin }) {
  try {
    const member = frame[NAME];
    return member && member.channel === channel && member.key === key && member.origin === origin ? member : null;
  } catch {
    return null; // a frame of another origin
  }
}

/** All inputs of the group, in the order in which they stand on the page. */
export function partsOf(config) {
  const found = [];
  for (let i = 0; i < window.parent.length; i += 1) {
    const member = memberOf(window.parent[i], config);
    if (member) found.push(...member.parts());
  }
  return found;
}
