// Counts what it hears under topics, in the storage of its deployment.
//
// It subscribes to the topics that the setting `topics` names. Messages, in JSON: `{"count": topic}` answers how many
// it heard under a topic, over restarts; `"seen"` how many this state has heard.

import * as topics from "airssys:messaging/topics@1.0.0";
import * as store from "airssys:storage/store@1.0.0";
import * as atomics from "airssys:storage/compare-and-set@1.0.0";

const JSON_PREFIX = [0x80, 0x04];

let seen = 0;

export const lifecycle = {
  initialize(config) {
    for (const [name, setting] of config) {
      if (name !== "topics" || setting.tag !== "text") throw refused(`no such setting: ${name}`);
      topics.subscribe(setting.val);
    }
  },
  health: () => ({ status: "healthy", detail: `${seen} heard` }),
  metadata: () => ({
    name: "demo/tally",
    version: "1.0.0",
    description: "counts what is published",
    accepts: [0x0200],
  }),
  shutdown() {},
};

export const state = {
  snapshot: () => Uint8Array.from(text(String(seen))),
  restore(snapshot) {
    seen = Number(String.fromCharCode(...snapshot));
  },
  migrate: (version, snapshot) => snapshot,
};

export const handler = {
  handleMessage({ source, payload }) {
    if (source.tag === "topic") {
      add(source.val.topic);
      seen += 1;
      return undefined;
    }
    const request = read(payload);
    if (request === "seen") return write(seen);
    if (request.count) return write(count(request.count).number);
    throw { tag: "unhandled", val: "count or seen expected" };
  },
  handleCallback() {
    throw { tag: "unhandled", val: "a tally asks nobody" };
  },
};

function count(topic) {
  const entry = store.getEntry(`heard/${topic}`);
  if (!entry) return { number: 0, version: undefined };
  return { number: Number(String.fromCharCode(...entry.value)), version: entry.version };
}

// Other actors of the deployment count in the same place.
function add(topic) {
  for (;;) {
    const { number, version } = count(topic);
    const value = Uint8Array.from(text(String(number + 1)));
    const outcome = atomics.compareAndSet(`heard/${topic}`, version, value);
    if (outcome.tag === "done") return;
  }
}

function refused(why) {
  return { tag: "refused", val: why };
}

function text(ascii) {
  return [...ascii].map((letter) => letter.charCodeAt(0));
}

function read(payload) {
  const bytes = Array.from(payload);
  if (bytes[0] !== JSON_PREFIX[0] || bytes[1] !== JSON_PREFIX[1]) {
    throw { tag: "undecodable", val: "a JSON payload is expected" };
  }
  try {
    return JSON.parse(String.fromCharCode(...bytes.slice(2)));
  } catch (error) {
    throw { tag: "undecodable", val: String(error) };
  }
}

function write(value) {
  return Uint8Array.from([...JSON_PREFIX, ...text(JSON.stringify(value))]);
}
