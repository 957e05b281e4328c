// A shape takes a value of JSON and the name of its place, and returns the value or throws `NotUnderstood`.

import { NotUnderstood } from "./errors.js";

const PLACE = "the message";

function of(expected, fits) {
  return (value, place = PLACE) => {
    if (!fits(value)) throw other(value, expected, place);
    return value;
  };
}

export const anything = (value) => value;
export const nothing = of("nothing", (value) => value === undefined || value === null);
export const text = of("a text", (value) => typeof value === "string");
export const number = of("a number", (value) => typeof value === "number");
export const integer = of("an integer", Number.isSafeInteger);
export const boolean = of("true or false", (value) => typeof value === "boolean");
const array = of("a list", Array.isArray);
const object = of(
  "an object",
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);

export function list(item) {
  return (value, place = PLACE) =>
    array(value, place).map((each, position) => item(each, `${place}[${position}]`));
}

export function mapping(item) {
  return (value, place = PLACE) =>
    Object.fromEntries(
      Object.entries(object(value, place)).map(([key, each]) => [key, item(each, `${place}.${key}`)]),
    );
}

export function optional(shape, standard = null) {
  const made = (value, place) =>
    value === undefined || (value === null && standard === null) ? standard : shape(value, place);
  return Object.assign(made, { optional: true });
}

export function record(fields) {
  return (value, place = PLACE) => {
    const given = object(value, place);
    for (const name of Object.keys(given)) {
      if (!Object.hasOwn(fields, name)) throw new NotUnderstood(`${place} has ${name}, which it does not know`);
    }
    const made = {};
    for (const [name, shape] of Object.entries(fields)) {
      const there = Object.hasOwn(given, name);
      if (!there && !shape.optional) throw new NotUnderstood(`${place} has no ${name}, which it needs`);
      made[name] = shape(there ? given[name] : undefined, `${place}.${name}`);
    }
    return made;
  };
}

function other(value, expected, place) {
  const found = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  return new NotUnderstood(`${place} is ${found}, expected ${expected}`);
}
