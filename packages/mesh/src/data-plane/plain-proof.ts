import { createHmac, randomBytes } from "node:crypto";

/**
 * How a tunnel without encryption begins, on a link that both ends have declared private. The ticket itself never crosses it:
 *
 *     connector → listener   hello: magic, the connector's fingerprint, its nonce
 *     listener → connector   challenge: one byte, the listener's nonce; or a refusal, and the connector turns to TLS
 *     connector → listener   proof: HMAC-SHA256 by the ticket over both fingerprints and both nonces
 *     listener → connector   the answer's byte, and a proof of its own over the same and that byte
 *
 * Both nonces are fresh for every connection and take one proof each; the two directions have labels of their own.
 */
const MAGIC: Buffer = Buffer.from("clusterd plain 2\n");
const FINGERPRINT_BYTES = 32;
const NONCE_BYTES = 32;
export const HELLO_BYTES: number = MAGIC.length + FINGERPRINT_BYTES + NONCE_BYTES;
const CHALLENGE = 0x03;
export const CHALLENGE_BYTES: number = 1 + NONCE_BYTES;
export const PROOF_BYTES = 32;

/** What both ends of one connection know before the proofs. Fingerprints are hex. */
export interface PlainSession {
  readonly connector: string;
  readonly listener: string;
  readonly connectorNonce: Uint8Array;
  readonly listenerNonce: Uint8Array;
}

export function makeNonce(): Uint8Array {
  return randomBytes(NONCE_BYTES);
}

export function encodeHello(hello: Pick<PlainSession, "connector" | "connectorNonce">): Buffer {
  return Buffer.concat([MAGIC, Buffer.from(hello.connector, "hex"), hello.connectorNonce]);
}

/** Null where it is none of ours. */
export function helloOf(bytes: Buffer): Pick<PlainSession, "connector" | "connectorNonce"> | null {
  if (bytes.length !== HELLO_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const nonceAt = MAGIC.length + FINGERPRINT_BYTES;
  return { connector: bytes.toString("hex", MAGIC.length, nonceAt), connectorNonce: bytes.subarray(nonceAt) };
}

export function encodeChallenge(listenerNonce: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(CHALLENGE), listenerNonce]);
}

/** The listener's nonce; null where it takes no plain tunnel. */
export function challengeOf(bytes: Buffer): Uint8Array | null {
  return bytes.length === CHALLENGE_BYTES && bytes[0] === CHALLENGE ? bytes.subarray(1) : null;
}

export function connectorProof(ticket: Uint8Array, session: PlainSession): Buffer {
  return proof("connector", ticket, session, Buffer.alloc(0));
}

/** The listener's answer is part of what it proves. */
export function listenerProof(ticket: Uint8Array, session: PlainSession, answer: number): Buffer {
  return proof("listener", ticket, session, Buffer.of(answer));
}

/** Every part but the last has a fixed length, so no two sessions give the same text. */
function proof(side: "connector" | "listener", ticket: Uint8Array, session: PlainSession, answer: Buffer): Buffer {
  return createHmac("sha256", ticket)
    .update(MAGIC)
    .update(`${side}\n`)
    .update(Buffer.from(session.connector, "hex"))
    .update(Buffer.from(session.listener, "hex"))
    .update(session.connectorNonce)
    .update(session.listenerNonce)
    .update(answer)
    .digest();
}
