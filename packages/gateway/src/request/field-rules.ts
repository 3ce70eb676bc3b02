import { ClusterdError } from "@clusterd/wire";
import { isObject, type JsonObject } from "../json-body.ts";

/** Checks one field of a request and gives what the engine is sent for it; `undefined`: nothing. */
export type FieldRule = (value: unknown, param: string) => unknown;
export type FieldRules = Readonly<Record<string, FieldRule>>;

export function invalidField(param: string, message: string): ClusterdError {
  return new ClusterdError("invalid_request", `\`${param}\` ${message}.`, { param });
}

/** The known fields of a body, checked; unknown ones are left behind and `null` stands for absent. */
export function pickFields(body: JsonObject, rules: FieldRules): Record<string, unknown> {
  const picked: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(rules)) {
    const value = Object.hasOwn(body, name) ? body[name] : undefined;
    if (value === undefined || value === null) continue;
    const result = rule(value, name);
    if (result !== undefined) picked[name] = result;
  }
  return picked;
}

export function numberIn(min: number, max: number): FieldRule {
  return (value, param) => {
    if (typeof value !== "number" || value < min || value > max)
      throw invalidField(param, `must be a number from ${min} to ${max}`);
    return value;
  };
}

export function integerIn(min: number, max: number): (value: unknown, param: string) => number {
  return (value, param) => {
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      throw invalidField(param, `must be an integer from ${min} to ${max}`);
    }
    return value as number;
  };
}

export function flag(value: unknown, param: string): boolean {
  if (typeof value !== "boolean") throw invalidField(param, "must be true or false");
  return value;
}

export function oneOf(...choices: readonly string[]): (value: unknown, param: string) => string {
  return (value, param) => {
    if (typeof value !== "string" || !choices.includes(value)) throw invalidField(param, `must be one of ${choices.join(", ")}`);
    return value;
  };
}

export function textUpTo(lengthMax: number): (value: unknown, param: string) => string {
  return (value, param) => {
    if (typeof value !== "string") throw invalidField(param, "must be a string");
    if (value.length > lengthMax) throw invalidField(param, `must not be longer than ${lengthMax} characters`);
    return value;
  };
}

/** A text whose length only the body's limit bounds. */
export const unlimitedText: (value: unknown, param: string) => string = textUpTo(Number.MAX_SAFE_INTEGER);

export function listUpTo(itemsMax: number): (value: unknown, param: string) => readonly unknown[] {
  return (value, param) => {
    if (!Array.isArray(value)) throw invalidField(param, "must be an array");
    if (value.length > itemsMax) throw invalidField(param, `must not have more than ${itemsMax} items`);
    return value;
  };
}

export function objectAt(value: unknown, param: string): JsonObject {
  if (!isObject(value)) throw invalidField(param, "must be an object");
  return value;
}

/** A field whose wish cannot be met: refused by name, unless its value wishes for nothing. */
export function refused(why: string, ...harmless: readonly unknown[]): FieldRule {
  return (value, param) => {
    const empty = value === false || value === "" || (Array.isArray(value) && value.length === 0);
    if (empty || harmless.includes(value)) return undefined;
    throw invalidField(param, why);
  };
}
