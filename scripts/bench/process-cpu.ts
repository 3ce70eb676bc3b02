import { readFile } from "node:fs/promises";

/** Linux counts processor time in hundredths of a second. */
const MS_PER_TICK = 10;

/** Processor time a process has taken so far, in milliseconds; null where the system has no /proc. */
export async function processCpuMs(pid: number): Promise<number | null> {
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // The name stands in brackets and may hold anything; user and system time are the 12th and 13th field after it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}
