import { asContentId, asDeploymentId, ClusterdError, type ContentId, type DeploymentId } from "@clusterd/wire";
import { expect, test } from "vitest";
import { FAILED_KEPT_MS } from "./idle-policy.ts";
import { createRequestLoads } from "./request-loads.ts";

const [A, B] = [asContentId("a"), asContentId("b")];

/** Loads that end when the test says so. */
function scripted() {
  const begun: ContentId[] = [];
  const ends: PromiseWithResolvers<DeploymentId>[] = [];
  const clock = { nowMs: 0 };
  const want = createRequestLoads({
    load(contentId) {
      begun.push(contentId);
      const end = Promise.withResolvers<DeploymentId>();
      ends.push(end);
      return end.promise;
    },
    now: () => clock.nowMs,
  });
  return { begun, ends, clock, want };
}
const soon = (): Promise<void> => new Promise((done) => setImmediate(done));

test("who wants the same shares one load; another model waits its turn", async () => {
  const { begun, ends, want } = scripted();
  const [one, two, other] = [want(A, 1), want(A, 2), want(B, null)];
  await soon();
  expect(begun).toEqual([A]);
  ends[0]?.resolve(asDeploymentId("d1"));
  expect(await Promise.all([one, two])).toEqual(["d1", "d1"]);
  await soon();
  expect(begun).toEqual([A, B]);
  ends[1]?.resolve(asDeploymentId("d2"));
  expect(await other).toBe("d2");
});

test("one that fails does not hold up the next", async () => {
  const { ends, want } = scripted();
  const [one, other] = [want(A, null), want(B, null)];
  await soon();
  ends[0]?.reject(new ClusterdError("failed", "no"));
  await expect(one).rejects.toThrow("no");
  await soon();
  ends[1]?.resolve(asDeploymentId("d2"));
  expect(await other).toBe("d2");
});

test.each([
  ["does_not_fit", FAILED_KEPT_MS],
  ["model_not_ready", 2_000],
] as const)("a refusal (%s) is told again for %i ms without another try", async (code, keptMs) => {
  const { begun, ends, clock, want } = scripted();
  const first = want(A, null);
  await soon();
  ends[0]?.reject(new ClusterdError(code, "short by 6 GB"));
  await expect(first).rejects.toThrow("6 GB");
  clock.nowMs = keptMs - 1;
  await expect(want(A, null)).rejects.toMatchObject({ code, message: "short by 6 GB" });
  expect(begun).toEqual([A]);
  clock.nowMs = keptMs;
  const again = want(A, null);
  await soon();
  expect(begun).toEqual([A, A]);
  ends[1]?.resolve(asDeploymentId("d"));
  expect(await again).toBe("d");
});

test("a bounded number of models is wanted at once", async () => {
  const { want, ends } = scripted();
  const all = Array.from({ length: 64 }, (_, index) => want(asContentId(`m${index}`), null));
  await expect(want(A, null)).rejects.toMatchObject({ code: "model_not_ready" });
  for (const promise of all) promise.catch(() => undefined);
  await soon();
  ends[0]?.resolve(asDeploymentId("d"));
  await all[0];
  const next = want(A, null);
  next.catch(() => undefined);
});
