// Loaded before the CLI (`node --require`): sets the checkout up where something has changed, in the same process where nothing has.
const { spawnSync } = require("node:child_process");
const { join } = require("node:path");

const { stepInputs } = require("./inputs.mjs");
const { staleSteps } = require("./stamp.mjs");

if (staleSteps(stepInputs()).length > 0) {
  const setup = join(__dirname, "..", "setup.mjs");
  const { status } = spawnSync(process.execPath, [setup], { stdio: ["ignore", 2, "inherit"] });
  if (status !== 0) process.exit(status === null ? 130 : status);
}
