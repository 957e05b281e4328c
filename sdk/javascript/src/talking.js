import * as messaging from "airssys:messaging/messaging@1.0.0";
import * as topics from "airssys:messaging/topics@1.0.0";

import { Delivery } from "./errors.js";
import { fromPayload, toPayload } from "./messages.js";

const NANOSECONDS = 1e9;

export function tell(target, message) {
  told(() => messaging.tell(target, toPayload(message)));
}

export function ask(target, message, { timeout = 5 } = {}) {
  const nanoseconds = Math.round(timeout * NANOSECONDS);
  const answer = told(() => messaging.ask(target, toPayload(message), nanoseconds));
  return answer === undefined || answer === null ? null : fromPayload(answer);
}

export function publish(topic, message) {
  return Number(told(() => topics.publish(topic, toPayload(message))).accepted);
}

export function subscribe(pattern) {
  told(() => topics.subscribe(pattern));
}

export function unsubscribe(pattern) {
  return topics.unsubscribe(pattern);
}

// The error of a function of the host becomes a `Delivery`.
function told(call) {
  try {
    return call();
  } catch (error) {
    if (error?.payload?.tag === undefined) throw error;
    throw new Delivery(error.payload.tag, error.payload.val);
  }
}
