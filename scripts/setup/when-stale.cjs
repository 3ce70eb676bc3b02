// Loaded before the CLI (`node --require`): sets the checkout up where something has changed, in the same process where nothing has.
const { spawnSync } = require("node:child_process");
const { join } = require("node:path");

if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `error: clusterd needs Node 24; this is ${process.versions.node}.\nnext:  Install Node 24 or newer: https://nodejs.org\n`,
  );
  process.exit(1);
}

const { stepInputs } = require("./inputs.mjs");
const { staleSteps } = require("./stamp.mjs");

if (staleSteps(stepInputs()).length > 0) {
  const setup = join(__dirname, "..", "setup.mjs");
  const { status } = spawnSync(process.execPath, [setup], { stdio: ["ignore", 2, "inherit"] });
  if (status !== 0) process.exit(status === null ? 130 : status);
}
