import { Session } from "node:inspector/promises";
import { basename } from "node:path";

/** Between two samples. */
const INTERVAL_US = 500;

/** A function, and the processor time spent in it but not in what it called. */
export interface SelfTime {
  readonly name: string;
  readonly ms: number;
}

/** Samples this process until the function it returns is called; idle time is left out. */
export async function startProfile(): Promise<() => Promise<readonly SelfTime[]>> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: INTERVAL_US });
  await session.post("Profiler.start");
  return async () => {
    const { profile } = await session.post("Profiler.stop");
    session.disconnect();
    const names = new Map(
      profile.nodes.map(({ id, callFrame }) => [
        id,
        `${callFrame.functionName || "(anonymous)"} ${basename(callFrame.url)}${callFrame.url === "" ? "" : `:${callFrame.lineNumber + 1}`}`.trim(),
      ]),
    );
    const times = new Map<string, number>();
    for (const [index, id] of (profile.samples ?? []).entries()) {
      const name = names.get(id) ?? "?";
      // What the first sample counts is the start of the profile.
      if (name !== "(idle)" && index > 0) times.set(name, (times.get(name) ?? 0) + (profile.timeDeltas?.[index] ?? 0) / 1e3);
    }
    return [...times].map(([name, ms]) => ({ name, ms })).toSorted((a, b) => b.ms - a.ms);
  };
}
