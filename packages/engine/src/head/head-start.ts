import type { StartDeadline } from "../process/end-on-start-deadline.ts";

/** llama-server's word that its model is loaded and its port is bound. */
export const LISTENING: RegExp = /listening on http:\/\/127\.0\.0\.1:(\d+)/;

/** Reading a header and a vocabulary takes a second or two, from a slow disk more. */
export const PROOF_DEADLINE: StartDeadline = { totalMs: 120_000, quietMs: 60_000 };

/** Loading takes as long as it takes, but tells its progress with every few tensors; the largest is gigabytes, on a slow link minutes. */
export const LOAD_DEADLINE: StartDeadline = { totalMs: 6 * 3_600_000, quietMs: 300_000 };
