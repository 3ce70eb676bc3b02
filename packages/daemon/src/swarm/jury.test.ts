import { blockDigest, type Block } from "@clusterd/catalog";
import { expect, test } from "vitest";
import { judge, type Juror } from "./jury.ts";

const { signal } = new AbortController();
const block: Block = { index: 7, part: 0, position: 0, bytes: 3, group: 1 };
const [right, wrong] = [Buffer.from("yes"), Buffer.from("no!")];
const juror = (name: string, bytes: Buffer | null, has = true): Juror => ({
  name,
  has: () => has,
  digest: async () => (bytes === null ? null : blockDigest(bytes)),
});
const said = (bytes: Buffer, jurors: readonly Juror[], hub: Buffer | null = null): Promise<string | null> =>
  judge({ block, bytes, from: "a", jurors, fromHub: hub === null ? null : async () => hub, model: "m" }, signal);

test("whom all agree with is right; who is alone is believed", async () => {
  expect(await said(right, [])).toBeNull();
  expect(await said(right, [juror("b", wrong, false)])).toBeNull();
  expect(await said(right, [juror("b", null)])).toBeNull();
  expect(await said(right, [juror("b", right), juror("c", right)])).toBe(blockDigest(right));
});

test("where two differ the hub decides, whoever of them is wrong", async () => {
  expect(await said(wrong, [juror("b", right)], right)).toBe(blockDigest(right));
  expect(await said(right, [juror("b", wrong)], right)).toBe(blockDigest(right));
});

test("without a hub the majority decides, of all who have it; a draw is an error that names them", async () => {
  expect(await said(wrong, [juror("b", right), juror("c", right)])).toBe(blockDigest(right));
  expect(await said(right, [juror("b", wrong), juror("c", right), juror("d", right)])).toBe(blockDigest(right));
  await expect(said(wrong, [juror("b", right)])).rejects.toMatchObject({
    code: "model_broken",
    message: expect.stringMatching(/^a and b have different bytes of m/u),
  });
});
