import { webcrypto } from "node:crypto";

/**
 * SHA-256 of a block's bytes, hex, reckoned in the thread pool: on a processor without instructions for it a block takes 25 ms, in which
 * this process would answer nobody.
 */
export async function hashBlock(bytes: Buffer): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", bytes as Buffer<ArrayBuffer>)).toString("hex");
}
