import type { Group } from "./head-problem.ts";

/**
 * Where a group's stage may best start, for ends that only grow: of the starts from which it still reaches, the one with the least time
 * (its sliding minimum, by a queue in which times grow). Times are given less what has been read before the start.
 */
export class Window {
  readonly fixedMs: number;
  readonly msPerByte: number;
  /** The least time, after `firstFor`. */
  ms: number = Infinity;
  readonly #group: Group;
  readonly #starts: Int32Array;
  readonly #times: Float64Array;
  #front = 0;
  #back = 0;

  constructor(size: number, group: Group) {
    this.fixedMs = group.fixedMs;
    this.msPerByte = group.msPerByte;
    this.#group = group;
    this.#starts = new Int32Array(size);
    this.#times = new Float64Array(size);
  }

  /** The start to take for an end, or -1. */
  firstFor(end: number): number {
    const { ends, lengthMin } = this.#group;
    const starts = this.#starts;
    while (this.#front < this.#back && (ends[starts[this.#front] ?? 0] ?? 0) < end) this.#front++;
    if (this.#front === this.#back) return -1;
    const first = starts[this.#front] ?? 0;
    if (end - first < lengthMin) return -1;
    this.ms = this.#times[this.#front] ?? Infinity;
    return first;
  }

  add(start: number, ms: number): void {
    // A pinned stage has one start, and what comes before or after it is nothing to it.
    if ((this.#group.ends[start] ?? 0) < start + this.#group.lengthMin) return;
    while (this.#front < this.#back && (this.#times[this.#back - 1] ?? 0) >= ms) this.#back--;
    this.#starts[this.#back] = start;
    this.#times[this.#back] = ms;
    this.#back++;
  }
}
