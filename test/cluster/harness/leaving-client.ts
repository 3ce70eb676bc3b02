import { spawn } from "node:child_process";
import type { TestNode } from "./node.ts";

/** A client that can go at any moment. */
export interface LeavingClient {
  /** What it has been sent so far. */
  readonly text: string;
  leave(): void;
  /** Resolves once its answer has ended, or it has gone. */
  readonly ended: Promise<void>;
}

/** Asks a node from its own host. */
export async function askAndLeave(node: TestNode, path: string, body: unknown): Promise<LeavingClient> {
  const api = String((await node.event("ready"))["api"]);
  const json = ["-H", "content-type: application/json", "--data-binary", "@-"];
  const [curl, words] = node.host.wrap("curl", ["-sN", ...json, `${api}${path}`]);
  const child = spawn(curl, [...words], { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.end(JSON.stringify(body));
  let text = "";
  child.stdout.on("data", (bytes: Buffer) => (text += bytes.toString()));
  const ended = new Promise<void>((done) => void child.once("close", () => done()));
  return {
    get text() {
      return text;
    },
    leave: () => void child.kill("SIGKILL"),
    ended,
  };
}
