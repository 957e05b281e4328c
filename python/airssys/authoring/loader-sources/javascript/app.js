// A component that runs a script: it gets the source when it runs, once for each instance.

import { getArguments } from "wasi:cli/environment@0.2.0";

let functions;

// A script is written as a module and read as a program, because there is nothing to import from:
// `export` is blanked, which moves no line and no column.
function run() {
  if (functions) return functions;
  const [file, source] = getArguments();
  const names = new Set();
  const text = source.replace(
    /^([ \t]*)export[ \t]+(default[ \t]+)?(?=(?:async[ \t]+)?(?:function\b[ \t]*\*?|const\b|let\b|var\b|class\b)[ \t]*([A-Za-z_$][\w$]*))/gm,
    (whole, indent, standard, name) => {
      names.add(name);
      return indent + " ".repeat(whole.length - indent.length);
    },
  );
  const other = /^[ \t]*(export|import)\b(?![ \t]*\()/m.exec(text);
  if (other) {
    const line = text.slice(0, other.index).split("\n").length;
    throw failure("SyntaxError", `a script cannot ${other[1]} here`, line, `    at ${file}:${line}`);
  }
  const found = (0, eval)(`${text}\n;({ ${[...names].join(", ")} })`);
  functions = new Map(Object.entries(found).filter(([, each]) => typeof each === "function"));
  return functions;
}

function failure(kind, message, line = 0, trace = "") {
  return { failure: { kind, message, line, trace } };
}

// What a script threw, with the line where it did and the frames of the script.
function thrown(error) {
  if (error && error.failure) return error.failure;
  const file = getArguments()[0];
  const frames = String((error && error.stack) || "")
    .split("\n")
    .filter((frame) => /<(eval|input|evalScript)>/.test(frame))
    .map((frame) => frame.replace(/<(eval|input|evalScript)>/g, file));
  const place = /:(\d+)(?::\d+)?\)?\s*$/.exec(frames[0] || "");
  const kind = error instanceof Error ? error.name : typeof error;
  const message = error instanceof Error ? error.message : String(error);
  const line = place ? Number(place[1]) : 0;
  return { kind, message, line, trace: [...frames, `${kind}: ${message}`].join("\n") };
}

function parametersOf(each) {
  const [, list, only] = /^(?:async\s+)?(?:(?:function\b[^(]*)?\(([^)]*)|([\w$]+)\s*=>)/.exec(each.toString());
  const names = (list ?? only).split(",").map((name) => name.split("=")[0].trim());
  return names.map((name) => name.replace(/^\.\.\./, "")).filter(Boolean);
}

export const program = {
  describe() {
    try {
      return [...run()].map(([name, each]) => ({
        name,
        parameters: parametersOf(each),
        documentation: "",
      }));
    } catch (error) {
      throw thrown(error);
    }
  },
  call(name, text) {
    try {
      const each = run().get(name);
      if (!each) throw failure("unknown-function", [...run().keys()].join(", "));
      const given = JSON.parse(text);
      const values = Array.isArray(given) ? given : parametersOf(each).map((key) => given[key]);
      const result = each(...values);
      if (typeof result?.then === "function") throw failure("result", `${name} is async, and nothing waits here`);
      let encoded;
      try {
        encoded = JSON.stringify(result === undefined ? null : result);
      } catch (error) {
        throw failure("result", `${name} returned what JSON has not: ${error.message}`);
      }
      if (encoded === undefined) throw failure("result", `${name} returned what JSON has not`);
      return encoded;
    } catch (error) {
      throw thrown(error);
    }
  },
};
