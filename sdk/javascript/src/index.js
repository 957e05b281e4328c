// Write components for AirsSys in JavaScript and TypeScript; `index.d.ts` says what each of these does.

export { actor } from "./actor.js";
export { ComponentError, Delivery, NotUnderstood, Refused } from "./errors.js";
export { Response, http } from "./http.js";
export { log } from "./log.js";
export {
  anything,
  boolean,
  integer,
  list,
  mapping,
  nothing,
  number,
  optional,
  record,
  text,
} from "./shapes.js";
export { ask, publish, subscribe, tell, unsubscribe } from "./talking.js";
