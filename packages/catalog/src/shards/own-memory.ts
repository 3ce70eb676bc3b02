/**
 * Gives a buffer's memory back at once, where all of it is the buffer's own: blocks left to the collector have it collect all the time
 * (3 ms for a megabyte), and each comes in fresh pages. Nobody may be reading from it any more, the system neither.
 */
export function freeNow({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
