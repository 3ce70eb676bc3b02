import { spawn } from "node:child_process";

const OUTPUT_CHARACTERS_MAX = 64 * 1024;
const GRACE_MS = 5000;
const groups = new Set();

function signalGroup(pid, signal) {
  try {
    process.kill(process.platform === "win32" ? pid : -pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Ends all children under way with everything they started; resolves when they are gone. */
export async function endChildren() {
  for (const { pid } of groups) signalGroup(pid, "SIGTERM");
  const late = setTimeout(() => {
    for (const { pid } of groups) signalGroup(pid, "SIGKILL");
  }, GRACE_MS);
  await Promise.all([...groups].map(({ closed }) => closed));
  clearTimeout(late);
}

/** Runs a program in a process group of its own. The result has its exit code and the end of what it printed. */
export function runChild(file, args, { cwd, env = process.env, onLine = () => undefined } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd,
      env,
      detached: process.platform !== "win32",
      shell: process.platform === "win32" && !file.endsWith(".exe"),
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    let rest = "";
    const take = (chunk) => {
      output = (output + chunk).slice(-OUTPUT_CHARACTERS_MAX);
      const lines = (rest + chunk).split("\n");
      rest = lines.pop().slice(-OUTPUT_CHARACTERS_MAX);
      for (const line of lines) onLine(line);
    };
    child.stdout.setEncoding("utf8").on("data", take);
    child.stderr.setEncoding("utf8").on("data", take);
    child.once("error", reject);
    const closed = new Promise((done) => child.once("close", done));
    const group = { pid: child.pid, closed };
    if (child.pid !== undefined) groups.add(group);
    child.once("close", (code) => {
      groups.delete(group);
      resolve({ code, output });
    });
  });
}
