/**
 * Write components for AirsSys in JavaScript and TypeScript: actors, messages, logging, topics.
 *
 * Messages are JSON. It imports no host code: what it imports is what the component's world does.
 */

/** The root of what this package throws. */
export class ComponentError extends Error {}

/** Throw it to refuse a request: whoever asked gets the reason, and the component goes on. */
export class Refused extends ComponentError {}

/** A value is not what was declared; the message names the place. Whoever asked is told, and the component goes on. */
export class NotUnderstood extends ComponentError {}

/** A message did not arrive, or an ask has no answer. */
export class Delivery extends ComponentError {
  /** Why, as WIT names it: `no-actor`, `timeout`, `mailbox-full`, `not-permitted`, … */
  readonly reason: string;
  /** More about it, where there is more. */
  readonly detail?: unknown;
  constructor(reason: string, detail?: unknown);
}

/** Returns a value of JSON as it was declared, or throws `NotUnderstood` with its place. */
export interface Shape<T> {
  (value: unknown, place?: string): T;
  readonly optional?: boolean;
}

/** What a shape gives: `Shaped<typeof order>`. */
export type Shaped<S> = S extends Shape<infer T> ? T : never;

/** Anything that JSON has, unchecked. */
export const anything: Shape<any>;
/** A message without content, or `null`. */
export const nothing: Shape<null | undefined>;
export const text: Shape<string>;
export const number: Shape<number>;
/** A whole number that a JavaScript number holds exactly, 2⁵³ - 1 at most. */
export const integer: Shape<number>;
export const boolean: Shape<boolean>;
/** A list of items of one shape. */
export function list<T>(item: Shape<T>): Shape<T[]>;
/** An object with any keys, whose values are of one shape. */
export function mapping<T>(item: Shape<T>): Shape<Record<string, T>>;
/** A field that may be left out; `standard`, or `null`, is there in its place. */
export function optional<T>(shape: Shape<T>): Shape<T | null>;
export function optional<T>(shape: Shape<T>, standard: T): Shape<T>;
/** An object with these fields and no others. */
export function record<F extends Record<string, Shape<any>>>(
  fields: F,
): Shape<{ [K in keyof F]: Shaped<F[K]> }>;

type Camel<S> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
type Content<C, M> = M extends keyof C
  ? C[M] extends () => any
    ? Shape<any>
    : C[M] extends (content: infer P, ...more: any[]) => any
      ? Shape<P>
      : never
  : never;

/** What an actor takes. */
export interface ActorOptions<C, H> {
  /** How it calls itself; the name of the class by default. */
  name?: string;
  /** Of its state, by semver. */
  version?: string;
  description?: string;
  /**
   * The content of each message by its name: `"get"` is a message without content, `{"add": 2}` one whose content is
   * 2. The method of the same name handles it (`cancelOrder` for `cancel-order`); what it returns is the answer.
   */
  handles?: H & { [M in keyof H]: Content<C, Camel<M>> };
  /**
   * The method, and the shape of its content, that takes what is published under a pattern, which the actor
   * subscribes to: `{"texts.*": {heard: text}}`. It is called with the content and the topic.
   */
  onTopic?: Record<string, { [M in keyof C]?: Content<C, M> }>;
}

/**
 * Make a class the actor of this component: `export const { handler, lifecycle, state } = actor(Counter, {…})`.
 *
 * Its public fields are its state, which is written down as JSON when the host asks for a snapshot, and read back where
 * an actor goes on after a restart, or in another revision. Methods that it may have besides handlers:
 *
 * - `started(config)`: an instance begins; `config` is what the operator set. `throw new Refused(…)` keeps it from
 *   starting.
 * - `stopped()`: it ends in order.
 * - `static migrated(version, state)`: returns the state of another version as one of this.
 *
 * Anything but `Refused` and `NotUnderstood` that is thrown ends the instance, and its supervisor starts another one.
 *
 * @throws TypeError where the class lacks a method that `options` names.
 */
export function actor<C extends object, H>(
  kind: new () => C,
  options?: ActorOptions<C, H>,
): {
  handler: { handleMessage(message: any): Uint8Array | undefined; handleCallback(): void };
  lifecycle: { initialize(config: any): void; health(): object; metadata(): object; shutdown(): void };
  state: {
    snapshot(): Uint8Array;
    restore(snapshot: Uint8Array): void;
    migrate(version: string, snapshot: Uint8Array): Uint8Array;
  };
};

type Write = (message: unknown, fields?: Record<string, unknown>) => void;

/** Writes lines to the host's log, with fields. */
export const log: { trace: Write; debug: Write; info: Write; warning: Write; error: Write };

/**
 * Put a message in an actor's mailbox; never waits.
 *
 * @param target Its address: `image/resizer`, or `image/resizer#42`.
 * @param message Anything that JSON has, or a payload as bytes.
 * @throws Delivery where it did not arrive.
 */
export function tell(target: string, message: unknown): void;

/**
 * Ask an actor and return its answer, or null where it has none.
 *
 * @param options `timeout` in seconds, 5 by default.
 * @throws Delivery where there is no answer; says why.
 */
export function ask(target: string, message: unknown, options?: { timeout?: number }): any;

/**
 * Put a message in the mailbox of every subscriber; return how many took it.
 *
 * @throws Delivery where the component may not publish there.
 */
export function publish(topic: string, message: unknown): number;

/**
 * Receive what is published under a pattern: `*` is one word, `**` at the end any number.
 *
 * @throws Delivery where the component may not subscribe to it.
 */
export function subscribe(pattern: string): void;

/** End a subscription; false if there was none. */
export function unsubscribe(pattern: string): boolean;

/** A request to a component. */
export interface Request {
  /** `GET`, `POST`, … */
  readonly method: string;
  /** Without what follows `?`, percent-decoded. */
  readonly path: string;
  /** What follows it, by name; the last one of each. */
  readonly query: Record<string, string>;
  /** By name in lower case; several of a name are joined by commas. */
  readonly headers: Record<string, string>;
  /** All of it. */
  readonly body: Uint8Array;
  /** The body as text. @throws NotUnderstood where it is no UTF-8. */
  text(): string;
  /** The body as JSON. @throws NotUnderstood where it is none. */
  json(): any;
}

/** An answer: bytes as they are, text as UTF-8, nothing for `undefined` or `null`, anything else as JSON. */
export class Response {
  readonly body: unknown;
  readonly status: number;
  readonly headers: Record<string, string>;
  constructor(body?: unknown, options?: { status?: number; headers?: Record<string, string> });
}

/**
 * Let a function answer the requests to this component: `export const incomingHandler = http((request) => …)`.
 *
 * It returns a `Response`, or the body of one. `Refused` and `NotUnderstood` become an answer of status 400 with their
 * words; anything else that is thrown ends the instance, and whoever asked gets 502.
 */
export function http(answer: (request: Request) => unknown): { handle(request: any, out: any): void };
