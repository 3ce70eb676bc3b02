// A member alone in its cluster, for tests of what strangers do to it. Prints its address; ends with its standard input.
// Usage: node mesh-process.ts FOLDER
import { join } from "node:path";
import { loadIdentity } from "../identity.ts";
import { startMesh } from "../start-mesh.ts";

const folder = process.argv[2] ?? "";
const mesh = await startMesh({
  identity: await loadIdentity(join(folder, "member.key")),
  name: "member",
  version: "0.1.0",
  rpcProtocol: "7.0.0",
  listen: ["127.0.0.1"],
  port: 0,
  mdns: false,
  peers: [],
  credentials: null,
  token: null,
  clusterName: "alone",
  open: false,
  incarnation: 1,
  saveCredentials: () => Promise.resolve(),
  on: () => undefined,
  onRequest: () => Promise.resolve({ draining: true }),
});
console.log(mesh.addresses()[0]);
process.stdin.resume().once("end", () => process.exit(0));
