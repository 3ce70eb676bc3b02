import { ClusterdError } from "./errors.ts";

/** Reads one value of a message, or throws `invalid_request` with the path to what is wrong. */
export type Check<Value> = (value: unknown, path: string) => Value;

/** What the checks in a record's shape give together. */
export type Checked<Shape> = { readonly [Key in keyof Shape]: Shape[Key] extends Check<infer Value> ? Value : never };

function wrong(path: string, wanted: string): ClusterdError {
  return new ClusterdError("invalid_request", `${path} must be ${wanted}.`, { param: path });
}

/** Text without control characters, cut to a length: names from elsewhere end up on terminals and pages. */
export function cleanName(text: string, lengthMax: number): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/g, "").slice(0, lengthMax);
}

/** Text of bounded length, refused when longer. */
export function text<Kind extends string = string>(lengthMax: number): Check<Kind> {
  return (value, path) => {
    if (typeof value !== "string" || value.length > lengthMax) throw wrong(path, `text of at most ${lengthMax} characters`);
    return cleanName(value, lengthMax) as Kind;
  };
}

/** A whole number from 0 on. */
export function count(max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, path) => {
    const number = typeof value === "bigint" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isSafeInteger(number) || number < 0 || number > max)
      throw wrong(path, `a whole number from 0 to ${max}`);
    return number;
  };
}

/** A finite number from 0 on. */
export const amount: Check<number> = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw wrong(path, "a finite number from 0 on");
  return value;
};

/** A finite number, of either sign. */
export const finite: Check<number> = (value, path) => {
  if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(path, "a finite number");
  return value;
};

export const flag: Check<boolean> = (value, path) => {
  if (typeof value !== "boolean") throw wrong(path, "true or false");
  return value;
};

export function bytes(length: number): Check<Uint8Array> {
  return (value, path) => {
    if (!(value instanceof Uint8Array) || value.length !== length) throw wrong(path, `${length} bytes`);
    // A copy: the original is a window on the whole message.
    return new Uint8Array(value);
  };
}

export function nullable<Value>(of: Check<Value>): Check<Value | null> {
  return (value, path) => (value === null || value === undefined ? null : of(value, path));
}

export function oneOf<const Value extends string | boolean>(...values: readonly Value[]): Check<Value> {
  return (value, path) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw wrong(path, `one of ${values.join(", ")}`);
    return found;
  };
}

export function list<Value>(of: Check<Value>, max: number): Check<readonly Value[]> {
  return (value, path) => {
    if (!Array.isArray(value) || value.length > max) throw wrong(path, `a list of at most ${max}`);
    return value.map((item, index) => of(item, `${path}[${index}]`));
  };
}

/** An object with these members; others are dropped. */
export function record<Shape extends Record<string, Check<unknown>>>(shape: Shape): Check<Checked<Shape>> {
  return (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object");
    const members = Object.entries(shape).map(([name, check]) => [
      name,
      check((value as Record<string, unknown>)[name], path === "" ? name : `${path}.${name}`),
    ]);
    return Object.fromEntries(members) as Checked<Shape>;
  };
}
