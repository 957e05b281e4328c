// What runs first in a JavaScript component: what every program expects and the runtime has not.
// A component is a snapshot of a runtime, so the runtime's own random numbers would be the same in
// every instance; these are asked of the host.

import { getStderr } from "wasi:cli/stderr@0.2.9";
import { getStdout } from "wasi:cli/stdout@0.2.9";
import { getRandomBytes } from "wasi:random/random@0.2.9";

const LONGEST_WRITE = 4096; // of one write to a stream of WASI

class TextEncoder {
  encoding = "utf-8";

  encode(text = "") {
    const points = String(text).toWellFormed(); // half of a pair becomes U+FFFD
    return Uint8Array.fromBase64(btoa(unescape(encodeURIComponent(points))));
  }
}

class TextDecoder {
  encoding = "utf-8";

  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^(utf-?8|unicode-1-1-utf-8)$/i.test(label)) throw new RangeError(`no decoder for ${label}`);
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  decode(given = new Uint8Array()) {
    const bytes = ArrayBuffer.isView(given)
      ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
      : new Uint8Array(given);
    const text = decoded(bytes, this.fatal);
    return !this.ignoreBOM && text.startsWith("\ufeff") ? text.slice(1) : text;
  }
}

// A byte at a time takes twenty times as long as what the runtime does by itself.
function decoded(bytes, fatal) {
  const binary = atob(bytes.toBase64()); // a character for each byte
  try {
    return decodeURIComponent(escape(binary));
  } catch {
    if (fatal) throw new TypeError("the bytes are no UTF-8");
    return replaced(bytes);
  }
}

// Reads bytes that are no UTF-8: U+FFFD stands for each part that is none, as the Unicode standard has it.
function replaced(bytes) {
  const text = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    if (first < 0x80) {
      text.push(String.fromCharCode(first));
      continue;
    }
    // What follows the first byte, and the least that its second may be, by the Unicode standard.
    const more = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
    let least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    let most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    let point = first & (0x3f >> more);
    let seen = 0;
    while (seen < more && at < bytes.length && bytes[at] >= least && bytes[at] <= most) {
      point = (point << 6) | (bytes[at++] & 63);
      [least, most] = [0x80, 0xbf];
      seen += 1;
    }
    if (!more || seen < more) point = 0xfffd;
    text.push(String.fromCodePoint(point));
  }
  return text.join("");
}

const encoder = new TextEncoder();

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.stack ? `${value}\n${value.stack}` : String(value);
  if (typeof value === "object" && value !== null) {
    try {
      return JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}n` : each));
    } catch {
      return String(value); // a circle
    }
  }
  return String(value);
}

function printer(stream) {
  return (...values) => {
    const bytes = encoder.encode(`${values.map(shown).join(" ")}\n`);
    const output = stream();
    for (let at = 0; at < bytes.length; at += LONGEST_WRITE) {
      output.blockingWriteAndFlush(bytes.subarray(at, at + LONGEST_WRITE));
    }
  };
}

const [print, warn] = [printer(getStdout), printer(getStderr)];

function bytes(count) {
  return Uint8Array.from(getRandomBytes(count));
}

const crypto = {
  getRandomValues(array) {
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytes(array.byteLength));
    return array;
  },
  randomUUID() {
    const random = bytes(16);
    random[6] = (random[6] & 0x0f) | 0x40; // version 4
    random[8] = (random[8] & 0x3f) | 0x80;
    const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return [8, 12, 16, 20, 32].map((end, part) => hex.slice([0, 8, 12, 16, 20][part], end)).join("-");
  },
};

Object.assign(globalThis, {
  TextDecoder,
  TextEncoder,
  console: { debug: print, error: warn, info: print, log: print, trace: warn, warn },
  crypto,
});

Math.random = () => {
  const [high, low] = new Uint32Array(bytes(8).buffer);
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
};
