import { crc32 } from "node:zlib";
import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { failingDisk, type FailingDisk } from "../testing/failing-disk.ts";
import { openPartFile } from "./part-file.ts";

const CHUNK = 16;
const BYTES = 5 * CHUNK + 7;
const TARGET = "/models/m.gguf";
const content = Buffer.from(Array.from({ length: BYTES }, (_, at) => (at * 31 + 1) & 255));
const { signal } = new AbortController();
class PowerLoss extends Error {}

/** Fetches, as downloads do, some chunks in some order, with records in between, and gives the file its name when all are there. */
async function work(disk: FailingDisk, order: readonly number[], restarts: boolean): Promise<void> {
  const part = await openPartFile(TARGET, { identity: "it", fileBytes: BYTES, chunkBytes: CHUNK }, disk);
  for (const [step, wish] of order.entries()) {
    const chunk = wish % part.ledger.count;
    const [first, last] = part.ledger.range(chunk);
    if (!part.ledger.isDone(chunk)) {
      const middle = first + Math.floor((last - first) / 2);
      await part.write(content.subarray(first, middle), first);
      await part.write(content.subarray(middle, last + 1), middle);
      part.chunkWritten(chunk);
    }
    if (wish % 3 === 0) await part.record();
    if (restarts && step === 3) await part.startAgain();
  }
  await part.record();
  if (part.ledger.missing().length > 0) return;
  for await (const _ of part.read(signal)) void _;
  if (part.changed.length === 0) await part.finish();
}

const loss = fc.record({
  order: fc.array(fc.nat(40), { minLength: 1, maxLength: 24 }),
  moment: fc.nat(120),
  restarts: fc.boolean(),
  kept: fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
});

test.prop([fc.array(loss, { minLength: 1, maxLength: 3 })], { numRuns: 500 })(
  "whenever the power goes, and whatever of the unsynced writes stays: what the record says is there, is there",
  async (losses) => {
    let left: FailingDisk | null = null;
    for (const { order, moment, restarts, kept } of losses) {
      let operations = 0;
      const safe = new Map<string, Buffer>();
      for (const name of [TARGET, `${TARGET}.part`, `${TARGET}.part.json`, `${TARGET}.part.json.tmp`]) {
        const bytes = left?.bytes(name);
        if (bytes != null) safe.set(name, bytes);
      }
      const disk = failingDisk(() => {
        if ((operations += 1) > moment) throw new PowerLoss();
      }, safe);
      await work(disk, order, restarts).catch((error: unknown) => {
        if (!(error instanceof PowerLoss)) throw error;
      });
      let at = 0;
      left = disk.loosePower(() => kept[at++ % kept.length] ?? false);
      // Never a bad file under the final name.
      const whole = left.bytes(TARGET);
      if (whole !== null) expect(whole.equals(content)).toBe(true);
      const found = await openPartFile(TARGET, { identity: "it", fileBytes: BYTES, chunkBytes: CHUNK }, left);
      const bytes = left.bytes(`${TARGET}.part`) ?? Buffer.alloc(0);
      for (let chunk = 0; chunk < found.ledger.count; chunk++) {
        if (!found.ledger.isDone(chunk)) continue;
        const [first, last] = found.ledger.range(chunk);
        expect(bytes.subarray(first, last + 1).equals(content.subarray(first, last + 1)), `chunk ${chunk}`).toBe(true);
        expect(found.ledger.sum(chunk)).toBe(crc32(content.subarray(first, last + 1)));
      }
    }
  },
);
