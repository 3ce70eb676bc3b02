import type { RaisableMemory } from "@clusterd/wire";
import { memoryBudget } from "./memory.ts";
import { gpuLimit, wiredLimitFor } from "./wired-limit.ts";

/** What is known of a machine's memory, in bytes. */
export interface MemoryFacts {
  readonly totalBytes: number;
  /** As the engine says; null where there is no accelerator. */
  readonly acceleratorBytes: number | null;
  /** Whether the accelerator's memory is the processor's (Apple silicon): counted once. */
  readonly unified: boolean;
  /** `iogpu.wired_limit_mb`; null where there is no such setting. */
  readonly wiredLimitMb: number | null;
  /** `--memory`. */
  readonly capBytes: number | null;
}

export interface Budget {
  readonly memoryBytesBudget: number;
  readonly raisable: RaisableMemory | null;
}

/**
 * What models may occupy. Without an accelerator all memory but a reserve; of a card's own memory the same; of memory that a GPU shares
 * with the processor besides at most what the system lets the GPU have, and how much more that could be.
 */
export function budgetOf(facts: MemoryFacts): Budget {
  const { totalBytes, acceleratorBytes, capBytes } = facts;
  if (acceleratorBytes === null) return { memoryBytesBudget: memoryBudget(totalBytes, capBytes), raisable: null };
  if (!facts.unified) return { memoryBytesBudget: memoryBudget(acceleratorBytes, capBytes), raisable: null };
  const atMost = memoryBudget(totalBytes, capBytes);
  const memoryBytesBudget = Math.min(atMost, gpuLimit(totalBytes, facts.wiredLimitMb, acceleratorBytes));
  // The setting is in MiB: less cannot be raised.
  const worthIt = facts.wiredLimitMb !== null && wiredLimitFor(atMost) > wiredLimitFor(memoryBytesBudget);
  return { memoryBytesBudget, raisable: worthIt ? { memoryBytes: atMost, wiredLimitMb: wiredLimitFor(atMost) } : null };
}
