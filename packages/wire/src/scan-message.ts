import { ClusterdError } from "./errors.ts";
import { MESSAGE_DEPTH_MAX, MESSAGE_VALUES_MAX } from "./limits.ts";

const hostile = (what: string): ClusterdError => new ClusterdError("invalid_request", `A message was refused: ${what}.`);

/**
 * Walks msgpack bytes without decoding them and throws unless they are exactly one value within the limits: a header that claims
 * more items or bytes than the message has costs nothing this way. Extension types are not part of our messages.
 */
export function scanMessage(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Values still to come at each open level. */
  const open: number[] = [1];
  let at = 0;
  let values = 0;

  function length(width: 1 | 2 | 4): number {
    if (at + width > bytes.length) throw hostile("it ends too early");
    const value = width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at);
    at += width;
    return value;
  }
  function skip(count: number): void {
    if (count > bytes.length - at) throw hostile("a length points beyond its end");
    at += count;
  }
  function enter(items: number): void {
    if (items > bytes.length - at) throw hostile("it claims more items than it has bytes");
    if (open.length >= MESSAGE_DEPTH_MAX) throw hostile(`it is nested deeper than ${MESSAGE_DEPTH_MAX}`);
    open.push(items);
  }

  while (open.length > 0) {
    const left = open[open.length - 1] ?? 0;
    if (left === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1] = left - 1;
    if (++values > MESSAGE_VALUES_MAX) throw hostile(`it has more than ${MESSAGE_VALUES_MAX} values`);
    const tag = length(1);
    if (tag <= 0x7f || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) continue;
    if (tag <= 0x8f) enter((tag & 0x0f) * 2);
    else if (tag <= 0x9f) enter(tag & 0x0f);
    else if (tag <= 0xbf) skip(tag & 0x1f);
    else if (tag === 0xc4 || tag === 0xd9) skip(length(1));
    else if (tag === 0xc5 || tag === 0xda) skip(length(2));
    else if (tag === 0xc6 || tag === 0xdb) skip(length(4));
    else if (tag === 0xcc || tag === 0xd0) skip(1);
    else if (tag === 0xcd || tag === 0xd1) skip(2);
    else if (tag === 0xca || tag === 0xce || tag === 0xd2) skip(4);
    else if (tag === 0xcb || tag === 0xcf || tag === 0xd3) skip(8);
    else if (tag === 0xdc) enter(length(2));
    else if (tag === 0xdd) enter(length(4));
    else if (tag === 0xde) enter(length(2) * 2);
    else if (tag === 0xdf) enter(length(4) * 2);
    else throw hostile(`it holds a type that is not used (0x${tag.toString(16)})`);
  }
  if (at !== bytes.length) throw hostile("something follows its end");
}
