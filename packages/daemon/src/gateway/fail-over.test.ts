import { asDeploymentId, ClusterdError, type DeploymentId, type ErrorCode } from "@clusterd/wire";
import { expect, test } from "vitest";
import { fetchWithFailOver } from "./fail-over.ts";

const [A, B, C, D] = ["a", "b", "c", "d"].map(asDeploymentId) as [DeploymentId, DeploymentId, DeploymentId, DeploymentId];

/** Asks at `A`; what each replica fails with, and who was asked. */
async function ask(failures: ReadonlyMap<DeploymentId, ErrorCode>, signal = new AbortController().signal) {
  const asked: DeploymentId[] = [];
  const request = { method: "POST", path: "/completion", body: "{}", caller: "c", signal } as const;
  const answer = await fetchWithFailOver(A, request, {
    async fetch(deployment) {
      asked.push(deployment);
      const code = failures.get(deployment);
      if (code !== undefined) throw new ClusterdError(code, code);
      return new Response(deployment);
    },
    another: (tried) => [A, B, C, D].find((each) => !tried.has(each)) ?? null,
  }).then(
    (response) => response.text(),
    (error: unknown) => (error as ClusterdError).code,
  );
  return { answer, asked };
}

test("a replica that is lost before it answers is replaced by another", async () => {
  expect(await ask(new Map())).toEqual({ answer: "a", asked: [A] });
  const lost = new Map<DeploymentId, ErrorCode>([
    [A, "shards_unreachable"],
    [B, "engine_crashed"],
  ]);
  expect(await ask(lost)).toEqual({ answer: "c", asked: [A, B, C] });
});

test("what is no replica's own fault, or nobody waits for any more, is not tried elsewhere; nothing is tried for ever", async () => {
  for (const code of ["queue_full", "context_length_exceeded", "invalid_request"] as const)
    expect(await ask(new Map([[A, code]]))).toEqual({ answer: code, asked: [A] });
  expect(await ask(new Map([[A, "worker_lost"]]), AbortSignal.abort())).toEqual({ answer: "worker_lost", asked: [A] });
  const all = new Map([A, B, C, D].map((each) => [each, "worker_lost"] as const));
  expect(await ask(all)).toEqual({ answer: "worker_lost", asked: [A, B, C] });
});
