import { fc, test } from "@fast-check/vitest";
import { expect } from "vitest";
import { asNodeId } from "@clusterd/wire";
import {
  deserializeCredentials,
  formatToken,
  foundCluster,
  mergeCredentials,
  parseToken,
  rotated,
  sameCredentials,
  serializeCredentials,
  withMember,
} from "./credentials.ts";
import { changes, departed, heard, judged, LEFT_MS, SUSPECT_MS, type MemberTable } from "./member-table.ts";
import { approvalCode, commitment, matchingSecret, proofOf } from "./proof.ts";

const [a, b, c] = ["a", "b", "c"].map(asNodeId) as [
  ReturnType<typeof asNodeId>,
  ReturnType<typeof asNodeId>,
  ReturnType<typeof asNodeId>,
];
const nonce = fc.uint8Array({ minLength: 32, maxLength: 32 });

test("a token gives back id and secret; anything else is refused", () => {
  const cluster = foundCluster("home", false, a);
  expect(parseToken(` ${formatToken(cluster)}\n`)).toEqual({ id: cluster.id, secret: cluster.secret });
  for (const wrong of ["", "clusterd-", "clusterd-AAAA", formatToken(cluster).slice(0, -4)])
    expect(() => parseToken(wrong)).toThrow(/not a clusterd token/);
});

test("credentials survive their file", () => {
  const cluster = rotated(withMember(foundCluster("home", true, a), b), c);
  expect(deserializeCredentials(serializeCredentials(cluster))).toEqual(cluster);
  expect(() => deserializeCredentials("{}")).toThrow(/damaged/);
});

test("two rotations at once converge, whoever merges, and removals of both count", () => {
  const cluster = withMember(withMember(foundCluster("home", false, a), b), c);
  const [left, right] = [rotated(cluster, b), rotated(cluster, c)];
  const [one, other] = [mergeCredentials(left, right), mergeCredentials(right, left)];
  expect(sameCredentials(one, other)).toBe(true);
  expect(one.removed).toEqual([b, c]);
  expect(one.members).toEqual([a]);
  expect(one.previousSecrets.some((secret) => Buffer.compare(secret, cluster.secret) === 0)).toBe(true);
});

test.prop([nonce, nonce, nonce, nonce])(
  "a proof is good for its secret, its side and its connection only",
  (secret, otherSecret, dialerNonce, listenerNonce) => {
    const transcript = { dialer: a, listener: b, dialerNonce, listenerNonce };
    const proof = proofOf(secret, "dialer", transcript);
    expect(matchingSecret(proof, [otherSecret, secret], "dialer", transcript)).toBe(
      Buffer.compare(secret, otherSecret) === 0 ? 0 : 1,
    );
    expect(matchingSecret(proof, [secret], "listener", transcript)).toBe(-1);
    expect(matchingSecret(proof, [secret], "dialer", { ...transcript, dialer: c })).toBe(-1);
  },
);

test.prop([nonce, nonce])("the code is six digits and depends on both", (reveal, memberNonce) => {
  expect(approvalCode(a, b, reveal, memberNonce)).toMatch(/^\d{3}-\d{3}$/);
  expect(commitment(reveal)).toHaveLength(32);
});

test("silence makes suspect, then left; a sign makes alive again; our own stall accuses nobody", () => {
  let table: MemberTable = heard(new Map(), a, 0);
  expect(judged(table, SUSPECT_MS - 1, 0).get(a)?.state).toBe("alive");
  expect(judged(table, LEFT_MS + 5000, LEFT_MS).get(a)?.state).toBe("alive");
  const suspect = judged(table, SUSPECT_MS, 0);
  expect(changes(table, suspect)).toEqual([{ node: a, state: "suspect" }]);
  table = judged(suspect, LEFT_MS, 0);
  expect(table.get(a)?.state).toBe("left");
  expect(heard(table, a, LEFT_MS + 1).get(a)?.state).toBe("alive");
  expect(departed(heard(table, b, 0), b).get(b)?.state).toBe("left");
});
