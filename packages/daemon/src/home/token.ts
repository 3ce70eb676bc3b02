import { ClusterdError } from "@clusterd/wire";
import { homePaths } from "./paths.ts";
import { readIfPresent } from "./private-file.ts";

/** The token of the cluster this home is a member of. Throws `not_admitted` where it is of none. */
export async function readToken(home: string): Promise<string> {
  const text = await readIfPresent(homePaths(home).cluster);
  if (text === null) {
    throw new ClusterdError("not_admitted", `The node of ${home} is in no cluster.`, {
      next: "Start it and found or join one with: clusterd join",
    });
  }
  // Only here: libp2p is not for a command that prints a line.
  const { id, secret } = JSON.parse(text) as { id: string; secret: string };
  return `clusterd-${Buffer.concat([Buffer.from(id, "hex"), Buffer.from(secret, "base64url")]).toString("base64url")}`;
}
