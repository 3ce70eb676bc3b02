// Runs a TypeScript program of this checkout with a Node new enough: node scripts/run.mjs FILE [ARGUMENT]…
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { newNode, NODE_MAJOR_MIN, ROOT } from "./setup/paths.mjs";

const [file = "", ...args] = process.argv.slice(2);
const node = newNode();
if (node === null) {
  process.stderr.write(
    `error: this needs Node ${NODE_MAJOR_MIN}; this is ${process.versions.node}.\nnext:  Install Node ${NODE_MAJOR_MIN} or newer.\n`,
  );
  process.exit(1);
}

const child = spawn(node, [resolve(ROOT, file), ...args], { stdio: "inherit" });
// A terminal tells the whole group of Ctrl-C; other signals come to this process alone.
process.on("SIGINT", () => undefined);
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.once("error", (error) => {
  process.stderr.write(`error: ${node} does not start: ${error.message}\n`);
  process.exit(1);
});
child.once("exit", (code) => process.exit(code ?? 130));
