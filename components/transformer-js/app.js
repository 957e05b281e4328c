// Cleans records, and capitalises what it fetches from another actor.
//
// Messages, in JSON: `{"clean": {"name": " ada lovelace ", "amount": "1,5"}}` answers with the record
// cleaned; everything else goes to the actor that the setting `next` names, and the text in its
// answer comes back in capitals, with "transformer (JavaScript)" added to its path.

import messaging from "airssys:messaging/messaging@1.0.0";

const JSON_PREFIX = [0x80, 0x04];
const PATIENCE = 5_000_000_000; // nanoseconds

let next = "";

export const lifecycle = {
  initialize(config) {
    for (const [name, setting] of config) {
      if (name !== "next" || setting.tag !== "text") throw refused(`no such setting: ${name}`);
      next = setting.val;
    }
  },
  health: () => ({ status: "healthy", detail: "" }),
  metadata: () => ({
    name: "demo/transformer",
    version: "1.0.0",
    description: "cleans records",
    accepts: [0x0200],
  }),
  shutdown() {},
};

export const handler = {
  handleMessage(message) {
    const request = read(message.payload);
    if (request.clean) return write(clean(request.clean));
    const answer = read(ask(next, message.payload));
    if (typeof answer.value === "string") answer.value = answer.value.toUpperCase();
    answer.path.push("transformer (JavaScript)");
    return write(answer);
  },
  handleCallback() {
    throw { tag: "unhandled", val: "a transformer asks and waits" };
  },
};

function clean({ name, amount }) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  if (!words.length) throw refused("a record without a name");
  const number = Number(String(amount).trim().replace(",", "."));
  if (!Number.isFinite(number)) throw refused(`${amount} is no amount`);
  const capital = (word) => word[0].toUpperCase() + word.slice(1).toLowerCase();
  return { name: words.map(capital).join(" "), amount: number.toFixed(2) };
}

function ask(target, payload) {
  try {
    return messaging.ask(target, payload, PATIENCE);
  } catch (error) {
    const { tag, val } = error.payload; // the delivery-error
    throw refused(tag === "refused" ? val : `${target} did not answer: ${tag}`);
  }
}

function refused(why) {
  return { tag: "refused", val: why };
}

function read(payload) {
  const bytes = Uint8Array.from(payload);
  if (bytes[0] !== JSON_PREFIX[0] || bytes[1] !== JSON_PREFIX[1]) {
    throw { tag: "undecodable", val: "a JSON payload is expected" };
  }
  try {
    return JSON.parse(decode(bytes.subarray(2)));
  } catch (error) {
    throw { tag: "undecodable", val: String(error) };
  }
}

function write(value) {
  return Uint8Array.from([...JSON_PREFIX, ...encode(JSON.stringify(value))]);
}

// The runtime has no TextEncoder; percent-encoding knows UTF-8.
function encode(text) {
  const escaped = encodeURIComponent(text);
  const bytes = [];
  for (let index = 0; index < escaped.length; index++) {
    if (escaped[index] === "%") {
      bytes.push(parseInt(escaped.slice(index + 1, index + 3), 16));
      index += 2;
    } else {
      bytes.push(escaped.charCodeAt(index));
    }
  }
  return bytes;
}

function decode(bytes) {
  let escaped = "";
  for (const byte of bytes) escaped += "%" + byte.toString(16).padStart(2, "0");
  return decodeURIComponent(escaped);
}
