import { NotUnderstood, Refused } from "./errors.js";
import { JSON_CODEC, fromJson, fromPayload, toPayload } from "./messages.js";
import { subscribe } from "./talking.js";

class Unhandled extends Error {}

export function actor(Kind, options = {}) {
  const { name = Kind.name.toLowerCase(), version = "0.1.0", description = "" } = options;
  const { handles = {}, onTopic = {} } = options;
  const topics = Object.entries(onTopic).map(([pattern, heard]) => [pattern, ...Object.entries(heard)[0]]);
  for (const method of [...Object.keys(handles).map(camel), ...topics.map(([, each]) => each)]) {
    if (typeof Kind.prototype[method] !== "function") throw new TypeError(`${Kind.name} has no method ${method}`);
  }
  let subject;

  function begin(config) {
    subject = new Kind();
    for (const [pattern] of topics) subscribe(pattern);
    subject.started?.(config);
  }

  function handle(source, content) {
    if (subject === undefined) begin({});
    if (source.tag === "topic") return hear(source.val.topic, content);
    const [message, value] = named(content);
    if (!Object.hasOwn(handles, message)) {
      throw new Unhandled(`${name} handles ${Object.keys(handles).sort().join(", ")}, not ${message}`);
    }
    return subject[camel(message)](handles[message](value, message));
  }

  function hear(topic, content) {
    const found = topics.find(([pattern]) => matches(pattern, topic));
    if (!found) return;
    const [, method, shape] = found;
    subject[method](shape(content, topic), topic);
  }

  function restore(values) {
    if (subject === undefined) begin({});
    for (const [field, value] of Object.entries(values)) {
      if (Object.hasOwn(subject, field)) subject[field] = value;
    }
  }

  return {
    handler: {
      handleMessage({ source, payload, wantsReply }) {
        const answer = answered(() => handle(source, fromPayload(payload)));
        return wantsReply ? toPayload(answer) : undefined;
      },
      handleCallback() {
        throw { tag: "unhandled", val: `${name} waits for no answer` };
      },
    },
    lifecycle: {
      initialize(config) {
        answered(() => begin(Object.fromEntries(config.map(([key, value]) => [key, setting(value)]))));
      },
      health: () => ({ status: "healthy", detail: "" }),
      metadata: () => ({ name, version, description, accepts: [JSON_CODEC] }),
      shutdown() {
        subject?.stopped?.();
      },
    },
    state: {
      snapshot() {
        if (subject === undefined) begin({});
        return new TextEncoder().encode(JSON.stringify(subject));
      },
      restore(snapshot) {
        answered(() => restore(fromJson(snapshot)));
      },
      migrate(older, snapshot) {
        if (typeof Kind.migrated !== "function") return snapshot;
        const made = answered(() => Kind.migrated(older, fromJson(snapshot)));
        return new TextEncoder().encode(JSON.stringify(made));
      },
    },
  };
}

function named(content) {
  if (typeof content === "string") return [content, undefined];
  const entries = typeof content === "object" && content !== null ? Object.entries(content) : [];
  if (entries.length === 1 && !Array.isArray(content)) return entries[0];
  throw new NotUnderstood('a message is "name", or {"name": content}');
}

// `cancel-order` is handled by `cancelOrder`.
function camel(message) {
  return message.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
}

function matches(pattern, topic) {
  const words = pattern.split(".");
  const heard = topic.split(".");
  if (words.at(-1) === "**") {
    words.pop();
    if (heard.length <= words.length) return false;
    heard.length = words.length;
  }
  return words.length === heard.length && words.every((word, at) => word === "*" || word === heard[at]);
}

function setting({ tag, val }) {
  if (tag === "json") return JSON.parse(val);
  return typeof val === "bigint" ? Number(val) : val;
}

// What a component may throw becomes an error of its world; anything else ends the instance.
function answered(call) {
  try {
    return call();
  } catch (error) {
    if (error instanceof Refused) throw { tag: "refused", val: error.message };
    if (error instanceof NotUnderstood) throw { tag: "undecodable", val: error.message };
    if (error instanceof Unhandled) throw { tag: "unhandled", val: error.message };
    console.error(error);
    throw error;
  }
}
