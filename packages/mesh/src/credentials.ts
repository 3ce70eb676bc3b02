import { randomBytes } from "node:crypto";
import {
  bytes,
  CLUSTER_NODES_MAX,
  ClusterdError,
  count,
  flag,
  list,
  NAME_LENGTH_MAX,
  record,
  text,
  type Check,
  type NodeId,
} from "@clusterd/wire";

export const SECRET_BYTES = 32;
const ID_BYTES = 16;
/** Secrets kept after a rotation, for members that were away. */
export const PREVIOUS_SECRETS_MAX = 4;
const KNOWN_MAX: number = CLUSTER_NODES_MAX * 4;
const TOKEN_PREFIX = "clusterd-";

/** What makes a node a member: whoever knows the secret of this generation is one, but for the removed. */
export interface ClusterCredentials {
  /** Random, hex. */
  readonly id: string;
  readonly name: string;
  /** Whether whoever asks is admitted. */
  readonly open: boolean;
  readonly secret: Uint8Array;
  /** Grows with every rotation of the secret. */
  readonly generation: number;
  /** Newest first. */
  readonly previousSecrets: readonly Uint8Array[];
  /** Every node ever admitted: they are handed a rotated secret, strangers with an old one are not. */
  readonly members: readonly NodeId[];
  readonly removed: readonly NodeId[];
}

export function foundCluster(name: string, open: boolean, founder: NodeId): ClusterCredentials {
  return {
    id: randomBytes(ID_BYTES).toString("hex"),
    name,
    open,
    secret: new Uint8Array(randomBytes(SECRET_BYTES)),
    generation: 1,
    previousSecrets: [],
    members: [founder],
    removed: [],
  };
}

/** The text that admits at once: cluster id and secret. */
export function formatToken(credentials: Pick<ClusterCredentials, "id" | "secret">): string {
  return TOKEN_PREFIX + Buffer.concat([Buffer.from(credentials.id, "hex"), credentials.secret]).toString("base64url");
}

/** Throws `not_admitted` for what is no token. */
export function parseToken(token: string): { readonly id: string; readonly secret: Uint8Array } {
  const trimmed = token.trim();
  const raw = Buffer.from(trimmed.slice(TOKEN_PREFIX.length), "base64url");
  if (!trimmed.startsWith(TOKEN_PREFIX) || raw.length !== ID_BYTES + SECRET_BYTES) {
    throw new ClusterdError("not_admitted", "This is not a clusterd token.", {
      next: "Print the token on a member with: clusterd token",
    });
  }
  return { id: raw.subarray(0, ID_BYTES).toString("hex"), secret: new Uint8Array(raw.subarray(ID_BYTES)) };
}

export function withMember(credentials: ClusterCredentials, node: NodeId): ClusterCredentials {
  if (credentials.members.includes(node)) return credentials;
  return { ...credentials, members: [...credentials.members, node].sort().slice(-KNOWN_MAX) };
}

/** A new secret; the old one is kept for members that are away. `removed` is never admitted again. */
export function rotated(credentials: ClusterCredentials, removed: NodeId | null): ClusterCredentials {
  return {
    ...credentials,
    secret: new Uint8Array(randomBytes(SECRET_BYTES)),
    generation: credentials.generation + 1,
    previousSecrets: [credentials.secret, ...credentials.previousSecrets].slice(0, PREVIOUS_SECRETS_MAX),
    removed: removed === null ? credentials.removed : [...new Set([...credentials.removed, removed])].sort().slice(-KNOWN_MAX),
    members: credentials.members.filter((member) => member !== removed),
  };
}

/**
 * Two members' credentials as one, the same whichever way they are merged: the higher generation wins, of equal ones the greater
 * secret; members and removals of both count.
 */
export function mergeCredentials(a: ClusterCredentials, b: ClusterCredentials): ClusterCredentials {
  const order = a.generation - b.generation || Buffer.compare(a.secret, b.secret);
  const [winner, loser] = order >= 0 ? [a, b] : [b, a];
  const secrets = [...winner.previousSecrets];
  // Of two rotations at once, the one that lost may be all that some member has heard of.
  for (const secret of [loser.secret, ...loser.previousSecrets]) {
    if (![winner.secret, ...secrets].some((known) => Buffer.compare(known, secret) === 0)) secrets.push(secret);
  }
  const removed = [...new Set([...a.removed, ...b.removed])].sort().slice(-KNOWN_MAX);
  const members = [...new Set([...a.members, ...b.members])]
    .filter((member) => !removed.includes(member))
    .sort()
    .slice(-KNOWN_MAX);
  return { ...winner, previousSecrets: secrets.slice(0, PREVIOUS_SECRETS_MAX), removed, members };
}

export function sameCredentials(a: ClusterCredentials, b: ClusterCredentials): boolean {
  return serializeCredentials(a) === serializeCredentials(b);
}

const nodes = list(text<NodeId>(128), KNOWN_MAX);
const parse: Check<ClusterCredentials> = record({
  id: text(64),
  name: text(NAME_LENGTH_MAX),
  open: flag,
  secret: bytes(SECRET_BYTES),
  generation: count(),
  previousSecrets: list(bytes(SECRET_BYTES), PREVIOUS_SECRETS_MAX),
  members: nodes,
  removed: nodes,
});

/** Credentials from another member, checked. Throws `invalid_request`. */
export function parseCredentials(value: unknown): ClusterCredentials {
  return parse(value, "credentials");
}

/** Credentials as they are kept in a file. */
export function serializeCredentials(credentials: ClusterCredentials): string {
  const encode = (secret: Uint8Array): string => Buffer.from(secret).toString("base64url");
  return JSON.stringify(
    { ...credentials, secret: encode(credentials.secret), previousSecrets: credentials.previousSecrets.map(encode) },
    null,
    2,
  );
}

/** The reverse; throws `home_unusable` for a damaged file. */
export function deserializeCredentials(json: string): ClusterCredentials {
  try {
    const value = JSON.parse(json) as { secret: string; previousSecrets: string[] };
    const decode = (secret: string): Uint8Array => new Uint8Array(Buffer.from(secret, "base64url"));
    return parseCredentials({ ...value, secret: decode(value.secret), previousSecrets: value.previousSecrets.map(decode) });
  } catch (error) {
    throw new ClusterdError("home_unusable", "The cluster's credentials in this home are damaged.", {
      next: "Remove cluster.json from the home and join the cluster again.",
      cause: error,
    });
  }
}
