import { randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from "@libp2p/crypto/keys";
import type { PrivateKey } from "@libp2p/interface";
import { peerIdFromPrivateKey } from "@libp2p/peer-id";
import { asNodeId, ClusterdError, type NodeId } from "@clusterd/wire";

/** Who this node is: an Ed25519 key, and the id everyone derives from it. */
export interface Identity {
  readonly id: NodeId;
  readonly privateKey: PrivateKey;
}

/** The identity kept in a file, made (private, whole or not at all) where there is none. Throws `home_unusable` when damaged. */
export async function loadIdentity(file: string): Promise<Identity> {
  let bytes: Uint8Array | null = null;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw unusable(file, error);
  }
  if (bytes === null) {
    const made = await generateKeyPair("Ed25519");
    bytes = privateKeyToProtobuf(made);
    const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
    {
      await using handle = await open(temporary, "wx", 0o600);
      await handle.writeFile(bytes);
      await handle.sync();
    }
    await rename(temporary, file);
  }
  try {
    const privateKey = privateKeyFromProtobuf(bytes);
    return { id: asNodeId(peerIdFromPrivateKey(privateKey).toString()), privateKey };
  } catch (error) {
    throw unusable(file, error);
  }
}

function unusable(file: string, cause: unknown): ClusterdError {
  return new ClusterdError("home_unusable", `This node's key ${file} cannot be read.`, {
    next: "Mend or remove the file. Without it the node gets a new identity and must be admitted again.",
    cause,
  });
}
