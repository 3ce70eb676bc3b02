import { randomBytes } from "node:crypto";
import {
  bytes,
  ClusterdError,
  CLUSTER_NODES_MAX,
  flag,
  list,
  NAME_LENGTH_MAX,
  nullable,
  oneOf,
  record,
  text,
  type NodeId,
} from "@clusterd/wire";
import type { Channel } from "./channel.ts";
import { parseCredentials, type ClusterCredentials } from "./credentials.ts";
import {
  approvalCode,
  clusterTag,
  commitment,
  matchingSecret,
  NONCE_BYTES,
  proofOf,
  sameBytes,
  type Transcript,
} from "./proof.ts";

/** Version of what nodes say to each other before they know each other. */
const PROTOCOL = 1;
export const HANDSHAKE_MS_MAX = 8_000;
const SECRETS_MAX = 5;
const ADDRESSES_MAX = 16;

/** What a member says of itself once both have proven the secret. */
export interface Facts {
  readonly version: string;
  readonly rpcProtocol: string;
  readonly addresses: readonly string[];
  readonly peers: readonly { readonly node: NodeId; readonly addresses: readonly string[] }[];
  readonly credentials: ClusterCredentials | null;
}

/** What this side brings to a handshake. */
export interface OwnSide {
  readonly self: NodeId;
  readonly name: string;
  readonly version: string;
  readonly rpcProtocol: string;
  /** Hash of the cluster name a joiner insists on. */
  readonly credentials: ClusterCredentials | null;
  /** A joiner's token: the secret is known, the rest is not yet. */
  readonly token: { readonly id: string; readonly secret: Uint8Array } | null;
  readonly clusterName: string | null;
  facts(): Omit<Facts, "credentials">;
}

export type Refused = "token-outdated" | "token-wrong" | "protocol" | "cluster-name" | "removed" | "full" | "not-member";

export type Outcome =
  | { readonly kind: "member"; readonly facts: Facts; readonly viaOldSecret: boolean }
  /** The other has no cluster either. */
  | { readonly kind: "undecided" }
  /** The other is a member and we are not: ask on a stream of our own. */
  | { readonly kind: "may-ask" }
  /** The other asks to be let in. */
  | { readonly kind: "asks"; readonly name: string; readonly version: string; readonly code: string }
  | { readonly kind: "pending"; readonly code: string }
  | { readonly kind: "refused"; readonly why: Refused; readonly message: string }
  /** Of another cluster, or nobody we know. */
  | { readonly kind: "stranger" };

const version = oneOf<"1">(String(PROTOCOL) as "1");
const digest = bytes(32);
const helloCheck = record({ clusterd: version, nonce: bytes(NONCE_BYTES), commit: nullable(digest), member: flag, token: flag });
const tagCheck = record({
  tag: nullable(digest),
  proofs: list(digest, SECRETS_MAX),
  asks: nullable(
    record({
      reveal: bytes(NONCE_BYTES),
      name: text(NAME_LENGTH_MAX),
      version: text(NAME_LENGTH_MAX),
      rpcProtocol: text(32),
      cluster: nullable(text(NAME_LENGTH_MAX)),
    }),
  ),
});
const addresses = list(text(256), ADDRESSES_MAX);
const factsCheck = record({
  version: text(NAME_LENGTH_MAX),
  rpcProtocol: text(32),
  addresses,
  peers: list(record({ node: text<NodeId>(128), addresses }), CLUSTER_NODES_MAX),
  credentials: nullable((value) => parseCredentials(value)),
});
const answerCheck = record({
  proof: nullable(digest),
  code: nullable(text(16)),
  refused: nullable(oneOf<Refused>("token-outdated", "token-wrong", "protocol", "cluster-name", "removed", "full", "not-member")),
  message: nullable(text(500)),
  facts: nullable(factsCheck),
});

const secretsOf = (own: OwnSide): readonly Uint8Array[] =>
  own.credentials !== null
    ? [own.credentials.secret, ...own.credentials.previousSecrets]
    : own.token === null
      ? []
      : [own.token.secret];
const idOf = (own: OwnSide): string | null => own.credentials?.id ?? own.token?.id ?? null;

/** Both versions, named, where two engines cannot work together; null where they can. */
export function protocolMismatch(own: Pick<OwnSide, "rpcProtocol">, other: string, otherName: string): string | null {
  // All three numbers: the last one follows the table of operators, and a mismatch there computes wrong without a word.
  const same = own.rpcProtocol === other;
  return same ? null : `${otherName} runs RPC protocol ${other}, this node runs ${own.rpcProtocol}; both need the same engine`;
}

/** The dialling side: says hello, proves the secret if it has one, or asks. `peer` is who Noise says is there. */
export async function handshakeAsDialer(channel: Channel, own: OwnSide, peer: NodeId, ask: boolean): Promise<Outcome> {
  const signal = AbortSignal.timeout(HANDSHAKE_MS_MAX);
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES));
  const reveal = new Uint8Array(randomBytes(NONCE_BYTES));
  channel.send({
    clusterd: String(PROTOCOL),
    nonce,
    commit: commitment(reveal),
    member: own.credentials !== null,
    token: own.token !== null,
  });
  const hello = helloCheck(await channel.receive(signal), "hello");
  const transcript: Transcript = { dialer: own.self, listener: peer, dialerNonce: nonce, listenerNonce: hello.nonce };
  const id = idOf(own);
  if (id === null && !hello.member) return { kind: "undecided" };
  if (id === null && !ask) return { kind: "may-ask" };
  channel.send({
    tag: id === null ? null : clusterTag(id, "dialer", transcript),
    proofs: secretsOf(own).map((secret) => proofOf(secret, "dialer", transcript)),
    asks:
      id === null
        ? { reveal, name: own.name, version: own.version, rpcProtocol: own.rpcProtocol, cluster: own.clusterName }
        : null,
  });
  const answer = answerCheck(await channel.receive(signal), "answer");
  if (answer.refused !== null) return { kind: "refused", why: answer.refused, message: answer.message ?? "" };
  if (answer.code !== null) return { kind: "pending", code: approvalCode(own.self, peer, reveal, hello.nonce) };
  if (answer.proof === null || answer.facts === null) return { kind: "stranger" };
  const matched = matchingSecret(answer.proof, secretsOf(own), "listener", transcript);
  if (matched < 0) return { kind: "stranger" };
  const mismatch = protocolMismatch(own, answer.facts.rpcProtocol, "the member");
  if (mismatch !== null) return { kind: "refused", why: "protocol", message: mismatch };
  channel.send({ ...own.facts(), credentials: own.credentials });
  return { kind: "member", facts: answer.facts, viaOldSecret: matched > 0 };
}

/** The side that was dialled: answers only what the dialler has proven to know. */
export async function handshakeAsListener(channel: Channel, own: OwnSide, peer: NodeId): Promise<Outcome> {
  const signal = AbortSignal.timeout(HANDSHAKE_MS_MAX);
  const hello = helloCheck(await channel.receive(signal), "hello");
  const nonce = new Uint8Array(randomBytes(NONCE_BYTES));
  channel.send({ clusterd: String(PROTOCOL), nonce, commit: null, member: own.credentials !== null, token: own.token !== null });
  const id = idOf(own);
  if (id === null && !hello.member && !hello.token) return { kind: "undecided" };
  if (id === null && hello.member) return { kind: "may-ask" };
  const transcript: Transcript = { dialer: peer, listener: own.self, dialerNonce: hello.nonce, listenerNonce: nonce };
  const claim = tagCheck(await channel.receive(signal), "claim");
  const refuse = (why: Refused, message: string): Outcome => {
    channel.send({ refused: why, message });
    return { kind: "refused", why, message };
  };
  if (claim.asks !== null) return hearQuestion(channel, own, peer, claim.asks, hello.commit, nonce, refuse);
  if (id === null || claim.tag === null || !sameBytes(claim.tag, clusterTag(id, "dialer", transcript))) {
    channel.send({});
    return { kind: "stranger" };
  }
  if (own.credentials === null) return refuse("not-member", "This node is not a member itself yet.");
  const secrets = secretsOf(own);
  const matches = claim.proofs.map((proof) => matchingSecret(proof, secrets, "dialer", transcript)).filter((index) => index >= 0);
  if (matches.length === 0) return refuse("token-wrong", "The token is of this cluster, but its secret is not known here.");
  if (own.credentials.removed.includes(peer)) return refuse("removed", "This node was removed from the cluster.");
  const matched = Math.min(...matches);
  if (matched > 0 && !own.credentials.members.includes(peer)) {
    return refuse("token-outdated", "The cluster's token has been replaced; print the new one on a member with: clusterd token");
  }
  const secret = secrets[matched];
  if (secret === undefined) throw new ClusterdError("failed", "A matching secret must be one of ours.");
  channel.send({ proof: proofOf(secret, "listener", transcript), facts: { ...own.facts(), credentials: own.credentials } });
  const facts = factsCheck(await channel.receive(signal), "facts");
  const mismatch = protocolMismatch(own, facts.rpcProtocol, "the other node");
  if (mismatch !== null) return { kind: "refused", why: "protocol", message: mismatch };
  return { kind: "member", facts, viaOldSecret: matched > 0 };
}

type Question = {
  readonly reveal: Uint8Array;
  readonly name: string;
  readonly version: string;
  readonly rpcProtocol: string;
  readonly cluster: string | null;
};

function hearQuestion(
  channel: Channel,
  own: OwnSide,
  peer: NodeId,
  asks: Question,
  commit: Uint8Array | null,
  nonce: Uint8Array,
  refuse: (why: Refused, message: string) => Outcome,
): Outcome {
  if (own.credentials === null) return refuse("not-member", "This node is not a member itself.");
  if (commit === null || !sameBytes(commit, commitment(asks.reveal)))
    throw new ClusterdError("invalid_request", "The commitment does not fit.");
  // A joiner that named its cluster learns only that this is another one.
  if (asks.cluster !== null && asks.cluster !== own.credentials.name) return refuse("cluster-name", "This is another cluster.");
  const mismatch = protocolMismatch(own, asks.rpcProtocol, asks.name);
  if (mismatch !== null) return refuse("protocol", mismatch);
  if (own.credentials.removed.includes(peer)) return refuse("removed", "This node was removed from the cluster.");
  const code = approvalCode(peer, own.self, asks.reveal, nonce);
  channel.send({ code });
  return { kind: "asks", name: asks.name, version: asks.version, code };
}
