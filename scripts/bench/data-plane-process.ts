import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCertificate } from "../../packages/mesh/src/data-plane/certificate.ts";
import { startDataPlane, type DataPlane } from "../../packages/mesh/src/data-plane/data-plane.ts";
import { parseTrustedLink } from "../../packages/mesh/src/data-plane/trusted-link.ts";
import { answerParent } from "./bench-process.ts";

/** What a daemon's data plane is asked to do in a measurement. */
export type DataPlaneMessage =
  | { readonly type: "start"; readonly trustedLinks?: readonly string[] }
  | { readonly type: "offer"; readonly peerFingerprint: string; readonly port: number }
  | { readonly type: "listen"; readonly port: number; readonly fingerprint: string; readonly ticket: Uint8Array };

let plane: DataPlane | undefined;

async function start(links: readonly string[]): Promise<DataPlane> {
  const folder = await mkdtemp(join(tmpdir(), "clusterd-bench-"));
  try {
    const certificate = await loadCertificate(join(folder, "certificate.pem"));
    const trustedLinks = links.map((link) => parseTrustedLink(link));
    return await startDataPlane({ certificate, listen: "127.0.0.1", port: 0, trustedLinks });
  } finally {
    await rm(folder, { recursive: true });
  }
}

answerParent(async (asked) => {
  const message = asked as DataPlaneMessage;
  plane ??= await start((message.type === "start" && message.trustedLinks) || []);
  if (message.type === "start") return { port: plane.port, fingerprint: plane.fingerprint };
  if (message.type === "offer") {
    const { peerFingerprint, port } = message;
    return { ticket: plane.offer({ peerFingerprint, target: { host: "127.0.0.1", port }, kind: "rpc", label: "bench" }).ticket };
  }
  const { port, fingerprint, ticket } = message;
  return { port: (await plane.listen({ address: "127.0.0.1", port, fingerprint, ticket, peerName: "worker" })).port };
});
