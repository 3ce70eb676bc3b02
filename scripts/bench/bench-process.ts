import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** A process of a measurement that answers one message with one message. */
export interface BenchProcess extends AsyncDisposable {
  readonly pid: number;
  ask<Answer>(message: unknown): Promise<Answer>;
}

/** Starts a script in a Node process of its own, as daemons on separate machines are separate processes. */
export async function startBenchProcess(script: URL): Promise<BenchProcess> {
  const child: ChildProcess = fork(script, { serialization: "advanced" });
  await once(child, "spawn");
  return {
    pid: child.pid ?? 0,
    async ask<Answer>(message: unknown): Promise<Answer> {
      child.send(message as object);
      const [answer] = (await once(child, "message")) as [{ error?: string; answer?: Answer }];
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer.answer as Answer;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The other side: answers every message of the parent, one after the other, and ends with it. */
export function answerParent(answer: (message: unknown) => Promise<unknown>): void {
  process.on("message", (message) => {
    answer(message).then(
      (value) => process.send?.({ answer: value }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.on("disconnect", () => process.exit());
}
