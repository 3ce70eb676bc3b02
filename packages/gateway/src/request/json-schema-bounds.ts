import { isObject } from "../json-body.ts";
import { SCHEMA_PATTERN_LENGTH_MAX, SCHEMA_REPETITIONS_MAX, SCHEMA_VALUES_MAX } from "../limits.ts";
import { invalidField, objectAt } from "./field-rules.ts";

const COUNTS: ReadonlySet<string> = new Set(["minItems", "maxItems", "minLength", "maxLength"]);

/**
 * Bounds what a client's JSON schema can cost: the engine makes a grammar of it, in which every value, every piece of a
 * regular expression and every repetition takes room.
 */
export function boundedSchema(value: unknown, param: string): unknown {
  objectAt(value, param);
  let values = 0;
  const walk = (node: unknown): void => {
    values += 1;
    if (values > SCHEMA_VALUES_MAX) throw invalidField(param, `must not have more than ${SCHEMA_VALUES_MAX} values`);
    if (Array.isArray(node)) node.forEach(walk);
    else if (isObject(node)) {
      for (const [key, child] of Object.entries(node)) {
        checkKeyword(key, child, param);
        walk(child);
      }
    }
  };
  walk(value);
  return value;
}

function checkKeyword(key: string, value: unknown, param: string): void {
  if (key === "pattern" && typeof value === "string") {
    if (value.length > SCHEMA_PATTERN_LENGTH_MAX) {
      throw invalidField(param, `must not have a pattern longer than ${SCHEMA_PATTERN_LENGTH_MAX} characters`);
    }
    const repetitions = value.match(/\d+(?=[\d,]*\})/g) ?? [];
    if (repetitions.some((count) => Number(count) > SCHEMA_REPETITIONS_MAX)) throw tooMany(param);
  } else if (COUNTS.has(key) && typeof value === "number" && Math.abs(value) > SCHEMA_REPETITIONS_MAX) throw tooMany(param);
}

function tooMany(param: string): Error {
  return invalidField(param, `must not ask for more than ${SCHEMA_REPETITIONS_MAX} repetitions`);
}
