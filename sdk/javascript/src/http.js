import { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } from "wasi:http/types@0.2.0";

import { NotUnderstood, Refused } from "./errors.js";

const READ = 65536; // what one read of a body asks for
const WRITE = 4096; // what one write to a stream of WASI takes

export class Response {
  constructor(body, { status = 200, headers = {} } = {}) {
    Object.assign(this, { body, status, headers });
  }
}

export function http(answer) {
  return {
    handle(request, out) {
      write(answered(answer, read(request)), out);
    },
  };
}

function answered(answer, request) {
  try {
    const given = answer(request);
    return given instanceof Response ? given : new Response(given);
  } catch (error) {
    if (error instanceof Refused || error instanceof NotUnderstood) {
      return new Response(error.message, { status: 400 });
    }
    console.error(error);
    throw error;
  }
}

function read(request) {
  const [, path, , query = ""] = /^([^?]*)(\?(.*))?$/s.exec(request.pathWithQuery() ?? "/");
  const pairs = query.split("&").filter(Boolean).map((pair) => /^([^=]*)=?(.*)$/s.exec(pair).slice(1).map(word));
  const headers = {};
  const fields = request.headers();
  for (const [name, value] of fields.entries()) {
    const [key, text] = [name.toLowerCase(), String.fromCharCode(...value)];
    headers[key] = Object.hasOwn(headers, key) ? `${headers[key]}, ${text}` : text;
  }
  fields[Symbol.dispose]();
  const { tag, val } = request.method();
  const bytes = body(request);
  const text = () => {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      throw new NotUnderstood("the body is no UTF-8");
    }
  };
  const json = () => {
    const given = text();
    try {
      return JSON.parse(given);
    } catch (error) {
      throw new NotUnderstood(`the body is no JSON: ${error.message}`);
    }
  };
  const method = tag === "other" ? val : tag.toUpperCase();
  return { method, path: decoded(path), query: Object.fromEntries(pairs), headers, body: bytes, text, json };
}

function word(escaped) {
  return decoded(escaped.replaceAll("+", " "));
}

function decoded(escaped) {
  try {
    return decodeURIComponent(escaped);
  } catch {
    return escaped; // a `%` that escapes nothing
  }
}

function body(request) {
  const incoming = request.consume();
  const stream = incoming.stream();
  const parts = [];
  let length = 0;
  for (;;) {
    let part;
    try {
      part = stream.blockingRead(READ);
    } catch (error) {
      if (error?.payload?.tag !== "closed") throw error;
      break;
    }
    parts.push(part);
    length += part.length;
  }
  stream[Symbol.dispose]();
  incoming[Symbol.dispose]();
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function content(given) {
  if (given === undefined || given === null) return [new Uint8Array(), undefined];
  if (given instanceof Uint8Array) return [given, "application/octet-stream"];
  const encoder = new TextEncoder();
  if (typeof given === "string") return [encoder.encode(given), "text/plain; charset=utf-8"];
  return [encoder.encode(JSON.stringify(given)), "application/json"];
}

function write({ body: given, status, headers }, out) {
  const [bytes, kind] = content(given);
  const named = kind === undefined ? {} : { "content-type": kind };
  for (const [name, value] of Object.entries(headers)) named[name.toLowerCase()] = value;
  const encoder = new TextEncoder();
  const entries = Object.entries(named).map(([name, value]) => [name, encoder.encode(String(value))]);
  const head = new OutgoingResponse(Fields.fromList(entries));
  head.setStatusCode(status);
  const outgoing = head.body();
  ResponseOutparam.set(out, { tag: "ok", val: head });
  const stream = outgoing.write();
  try {
    for (let at = 0; at < bytes.length; at += WRITE) {
      stream.blockingWriteAndFlush(bytes.subarray(at, at + WRITE));
    }
  } catch (error) {
    if (error?.payload?.tag === undefined) throw error;
    return; // whoever asked has gone
  }
  stream[Symbol.dispose]();
  OutgoingBody.finish(outgoing, undefined);
}
