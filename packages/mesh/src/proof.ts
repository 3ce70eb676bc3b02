import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { NodeId } from "@clusterd/wire";

export const NONCE_BYTES = 32;

/** What both sides of a connection have seen: who dialled whom (ids proven by Noise) and both nonces. */
export interface Transcript {
  readonly dialer: NodeId;
  readonly listener: NodeId;
  readonly dialerNonce: Uint8Array;
  readonly listenerNonce: Uint8Array;
}

type Role = "dialer" | "listener";

function mac(key: Uint8Array, purpose: string, transcript: Transcript): Uint8Array {
  const hmac = createHmac("sha256", key).update(`clusterd 1 ${purpose}\0${transcript.dialer}\0${transcript.listener}\0`);
  return new Uint8Array(hmac.update(transcript.dialerNonce).update(transcript.listenerNonce).digest());
}

/** Proof that a side knows a secret, good for this connection, this side and these nonces only. */
export function proofOf(secret: Uint8Array, role: Role, transcript: Transcript): Uint8Array {
  return mac(secret, `proof ${role}`, transcript);
}

/** A mark by which members of one cluster know each other; to anyone who does not know the (random) cluster id it is noise. */
export function clusterTag(clusterId: string, role: Role, transcript: Transcript): Uint8Array {
  return mac(createHash("sha256").update(clusterId).digest(), `tag ${role}`, transcript);
}

/** Index of the secret that a proof was made with, or -1. */
export function matchingSecret(proof: Uint8Array, secrets: readonly Uint8Array[], role: Role, transcript: Transcript): number {
  return secrets.findIndex((secret) => sameBytes(proof, proofOf(secret, role, transcript)));
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** What the asking side says before it sees the other's nonce, so that it cannot choose the code. */
export function commitment(reveal: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update("clusterd 1 commitment\0").update(reveal).digest());
}

/** The six digits that both screens show: over both ids and what both contributed. */
export function approvalCode(asker: NodeId, member: NodeId, reveal: Uint8Array, memberNonce: Uint8Array): string {
  const digest = createHash("sha256")
    .update(`clusterd 1 code\0${asker}\0${member}\0`)
    .update(reveal)
    .update(memberNonce)
    .digest();
  const digits = String(digest.readUInt32BE(0) % 1_000_000).padStart(6, "0");
  return `${digits.slice(0, 3)}-${digits.slice(3)}`;
}
