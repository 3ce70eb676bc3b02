import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { readIfPresent, writePrivateFile } from "./private-file.ts";
import type { HomePaths } from "./paths.ts";

/** Whether an address to listen on is reachable from this machine only. */
export function isLoopback(host: string): boolean {
  if (host === "localhost" || host === "::1") return true;
  return isIP(host) === 4 && host.startsWith("127.");
}

/** The key every request must bear once the API listens beyond loopback: kept in the home, made at the first need. */
export async function loadApiKey(paths: HomePaths): Promise<string> {
  const known = (await readIfPresent(paths.apiKey))?.trim();
  if (known) return known;
  const key = `clusterd-${randomBytes(24).toString("base64url")}`;
  await writePrivateFile(paths.apiKey, `${key}\n`);
  return key;
}
