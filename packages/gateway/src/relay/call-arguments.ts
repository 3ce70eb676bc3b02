import { isObject, type JsonObject } from "../json-body.ts";

/** The arguments of a call; none where the answer was cut off inside them. */
export function objectIn(text: unknown): JsonObject {
  try {
    const value: unknown = JSON.parse(String(text));
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
