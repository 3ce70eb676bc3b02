import { Packr } from "msgpackr";
import { ClusterdError } from "./errors.ts";
import { scanMessage } from "./scan-message.ts";

// Plain maps, no records and no shared structures: what one side encodes, any msgpack reads.
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: "number", encodeUndefinedAsNil: true });

/** A message as bytes. `undefined` members are left out by building messages without them. */
export function encodeMessage(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** The value of a message's bytes. Throws `invalid_request` for anything hostile or malformed, before memory is spent on it. */
export function decodeMessage(bytes: Uint8Array): unknown {
  scanMessage(bytes);
  try {
    return packr.unpack(bytes) as unknown;
  } catch (error) {
    throw new ClusterdError("invalid_request", "A message could not be decoded.", { cause: error });
  }
}
