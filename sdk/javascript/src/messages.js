// Values on the wire: JSON behind the prefix that names it in the multicodec table.

import { NotUnderstood } from "./errors.js";

export const JSON_CODEC = 0x0200;
const PREFIX = [0x80, 0x04];

export function toPayload(value) {
  if (value instanceof Uint8Array) return value;
  const text = new TextEncoder().encode(JSON.stringify(value === undefined ? null : value));
  const payload = new Uint8Array(PREFIX.length + text.length);
  payload.set(PREFIX);
  payload.set(text, PREFIX.length);
  return payload;
}

export function fromPayload(payload) {
  if (PREFIX.some((byte, position) => payload[position] !== byte)) {
    throw new NotUnderstood("a payload in JSON is expected");
  }
  return fromJson(payload.subarray(PREFIX.length));
}

export function fromJson(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new NotUnderstood(`the payload is no JSON: ${error.message}`);
  }
}
