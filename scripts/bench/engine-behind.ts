import { readFile, readdir, readlink } from "node:fs/promises";
import { basename } from "node:path";

/** A daemon's own llama-server, as it is reached without the daemon. */
export interface EngineBehind {
  readonly url: string;
  readonly apiKey: string;
}

const LISTENING = "0A";

/** The llama-server that a daemon runs, told by what the system knows of its processes. Linux alone has such files. */
export async function engineBehind(daemonPid: number): Promise<EngineBehind> {
  const pid = await findEngine(daemonPid);
  if (pid === null) throw new Error(`The daemon ${daemonPid} runs no llama-server.`);
  const environment = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
  const key = environment.find((entry) => entry.startsWith("LLAMA_API_KEY="));
  const port = await listeningPort(pid);
  if (key === undefined || port === null) throw new Error(`The llama-server ${pid} has no key or no port yet.`);
  return { url: `http://127.0.0.1:${port}`, apiKey: key.slice("LLAMA_API_KEY=".length) };
}

/** Among a process's descendants, breadth first. */
async function findEngine(root: number): Promise<number | null> {
  const waiting = [root];
  for (let pid = waiting.shift(); pid !== undefined; pid = waiting.shift()) {
    const [program = ""] = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    if (basename(program) === "llama-server") return pid;
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const children = await readFile(`/proc/${pid}/task/${thread}/children`, "utf8");
      waiting.push(...children.split(" ").filter(Boolean).map(Number));
    }
  }
  return null;
}

async function listeningPort(pid: number): Promise<number | null> {
  const names = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")));
  const sockets = new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
  for (const line of (await readFile(`/proc/${pid}/net/tcp`, "utf8")).split("\n").slice(1)) {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/ +/);
    if (state === LISTENING && sockets.has(inode)) return Number.parseInt(local.split(":")[1] ?? "", 16);
  }
  return null;
}
