import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CHECKOUT_CACHE } from "./paths.mjs";

const FILE = join(CHECKOUT_CACHE, "stamp.json");

/** What was done, by step: the hash of its inputs and a file that must still be there. */
export function readStamp() {
  try {
    return JSON.parse(readFileSync(FILE, "utf8"));
  } catch {
    return {};
  }
}

/** Notes that a step is done. */
export function markDone(step, hash, leaves) {
  mkdirSync(CHECKOUT_CACHE, { recursive: true });
  const fresh = `${FILE}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify({ ...readStamp(), [step]: { hash, leaves } }));
  renameSync(fresh, FILE);
}

/** Whether a step need not be done again. */
export function isDone(step, input, stamp) {
  const noted = stamp[step];
  if (noted === undefined || noted.hash !== input.hash) return false;
  const leaves = input.leaves ?? noted.leaves;
  return leaves === null || leaves === undefined || existsSync(leaves);
}

/** Names of the steps that have to be done. */
export function staleSteps(inputs) {
  const stamp = readStamp();
  return Object.keys(inputs).filter((step) => !isDone(step, inputs[step], stamp));
}
