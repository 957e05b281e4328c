// The conformance guest of the library for JavaScript; `app.py` is the same in Python.

import {
  Delivery,
  Refused,
  actor,
  ask,
  integer,
  log,
  nothing,
  optional,
  publish,
  record,
  text,
} from "airssys-component";

class Conformance {
  count = 0;
  sayings = [];

  started({ start = 0 }) {
    if (start < 0) throw new Refused("it starts at 0 at least");
    this.count = start;
  }

  add(amount) {
    this.count += amount;
    log.info("counted", { count: this.count });
    return this.count;
  }

  echo(said) {
    return said;
  }

  order({ article, pieces }) {
    if (pieces < 1) throw new Refused("at least one piece");
    return `${pieces} ${article}`;
  }

  forward({ to, text: said }) {
    try {
      return ask(to, { echo: said });
    } catch (error) {
      if (error instanceof Delivery) throw new Refused(error.message);
      throw error;
    }
  }

  announce(said) {
    return publish("conformance.said", { text: said });
  }

  told(said, topic) {
    this.sayings.push(`${topic}: ${said}`);
  }

  heard() {
    return this.sayings;
  }

  fail() {
    throw new Error("as it was told to");
  }
}

export const { handler, lifecycle, state } = actor(Conformance, {
  name: "local/greeter",
  version: "1.0.0",
  handles: {
    add: integer,
    echo: text,
    order: record({ article: text, pieces: optional(integer, 1) }),
    forward: record({ to: text, text }),
    announce: text,
    heard: nothing,
    fail: nothing,
  },
  onTopic: { "conformance.told.*": { told: text } },
});
