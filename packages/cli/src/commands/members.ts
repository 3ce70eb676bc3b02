import { readToken } from "@clusterd/daemon/home";
import { findDaemon } from "../api/find-daemon.ts";
import { command, type Command } from "../arguments/command.ts";
import { toggle } from "../arguments/flag.ts";
import { printable } from "../text/printable.ts";

const tokenCommand: Command = command({
  name: "token",
  summary: "the token that admits a machine at once",
  about:
    "Whoever has the token is let in: pass it on like a password. With --rotate a new one replaces it; members stay members.",
  positionals: [],
  flags: { rotate: toggle("replace the token; the old one admits nobody any more") },
  examples: [
    ["clusterd token", "print it"],
    ["clusterd token > token && clusterd join --token-file token", "on the next machine"],
  ],
  async run(context, { flags }) {
    if (flags.rotate) await (await findDaemon(context.home, context.signal)).post("/cluster/v1/rotate", {});
    const token = await readToken(context.home);
    if (context.json) context.terminal.printJson({ token, rotated: flags.rotate });
    else context.terminal.print(token);
  },
});

const approveCommand: Command = command({
  name: "approve",
  summary: "let in the machine that shows this code",
  positionals: [{ name: "CODE", required: true, summary: "the code on the waiting machine's screen" }],
  flags: {},
  examples: [["clusterd approve 123-456", "after comparing it with the other screen"]],
  async run(context, { args }) {
    const answer = (await (await findDaemon(context.home, context.signal)).post("/cluster/v1/approve", { code: args[0] })) as {
      node: string;
      name: string;
    };
    if (context.json) context.terminal.printJson(answer);
    else context.terminal.print(`${printable(answer.name)} is a member now.`);
  },
});

const removeCommand: Command = command({
  name: "remove",
  summary: "shut a node out of the cluster for good",
  positionals: [{ name: "NODE", required: true, summary: "its name or id" }],
  flags: {},
  examples: [["clusterd remove old-laptop", "the token is replaced as well"]],
  async run(context, { args }) {
    const answer = (await (await findDaemon(context.home, context.signal)).post("/cluster/v1/remove", { node: args[0] })) as {
      node: string;
      name: string;
    };
    if (context.json) context.terminal.printJson(answer);
    else context.terminal.print(`${printable(answer.name)} is removed, and the cluster's token is a new one.`);
  },
});

const drainCommand: Command = command({
  name: "drain",
  summary: "give a node no new work",
  positionals: [{ name: "NODE", required: true, summary: "its name or id" }],
  flags: { off: toggle("let it take work again") },
  examples: [
    ["clusterd drain mini-2", "before it is switched off"],
    ["clusterd drain mini-2 --off", "back to work"],
  ],
  async run(context, { args, flags }) {
    const answer = (await (
      await findDaemon(context.home, context.signal)
    ).post("/cluster/v1/drain", { node: args[0], on: !flags.off })) as { node: string; draining: boolean };
    if (context.json) context.terminal.printJson(answer);
    else context.terminal.print(`${printable(args[0] ?? "")} ${answer.draining ? "takes no new work" : "takes work again"}.`);
  },
});

const leaveCommand: Command = command({
  name: "leave",
  summary: "take this node out of its cluster and end its daemon",
  positionals: [],
  flags: {},
  examples: [["clusterd leave", "its key and models stay; the cluster is forgotten"]],
  async run(context) {
    await (await findDaemon(context.home, context.signal)).post("/cluster/v1/leave", {});
    if (context.json) context.terminal.printJson({ left: true });
    else context.terminal.print("This node has left its cluster.");
  },
});

export const MEMBER_COMMANDS: readonly Command[] = [tokenCommand, approveCommand, removeCommand, drainCommand, leaveCommand];
