import type { DaemonEvent } from "@clusterd/daemon";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text/printable.ts";

/** What a daemon's events are to a person, said on stderr. */
export function tellPerson(terminal: Terminal, event: DaemonEvent): void {
  const { talkStyle: style } = terminal;
  const shown = printable;
  switch (event.event) {
    case "engine":
      terminal.progress(
        `engine: ${event.step}${event.fraction === null ? "" : ` ${Math.round(event.fraction * 100)} %`}`,
        `engine: ${event.step}`,
      );
      return;
    case "looking":
      terminal.say("Looking for a cluster on this network …");
      return;
    case "founded":
      terminal.say(`Founded the cluster ${style("strong", shown(event.name))}. Another machine joins with: clusterd join`);
      return;
    case "pending":
      terminal.say([
        "",
        `  A cluster was found. To let this machine in, type on one of its members:`,
        "",
        `      ${style("strong", `clusterd approve ${event.code}`)}`,
        "",
        "  (the code must be the same on both screens; waiting …)",
        "",
      ]);
      return;
    case "admitted":
      terminal.say(
        `${style("good", "Admitted")} to the cluster ${style("strong", shown(event.name))}. Not yours? clusterd leave`,
      );
      return;
    case "refused":
      terminal.say(`${style("bad", "Refused")}: ${shown(event.message)}`);
      return;
    case "ready":
      terminal.say([
        `This node is ${style("strong", shown(event.name))}.`,
        `  dashboard  ${style("accent", `${event.api}/`)}`,
        `  API        ${style("accent", `${event.api}/v1`)}`,
      ]);
      return;
    case "node":
      terminal.say(`${shown(event.name)} is ${event.state === "left" ? "gone" : event.state}.`);
      return;
    case "deployment":
      tellDeployment(terminal, event);
      return;
    case "log":
      if (event.level === "warn") terminal.say(`${style("warn", "note")}: ${shown(event.message)}`);
      return;
    case "evicted":
      terminal.say(`${style("warn", "note")}: ${shown(event.what)} was given back to the disk to make room.`);
      return;
    case "stopped":
      terminal.say("Stopped.");
      return;
    default:
      event satisfies never;
  }
}

function tellDeployment(terminal: Terminal, event: Extract<DaemonEvent, { event: "deployment" }>): void {
  const model = printable(event.model);
  if (event.state === "loading")
    terminal.progress(`${model}: loading ${Math.round(event.progress * 100)} %`, `${model}: loading`);
  else if (event.state === "ready")
    terminal.say(
      `${terminal.talkStyle("good", "Ready")}: ${model}. Ask it: clusterd run ${model} "What is the capital of France?"`,
    );
  else if (event.reason !== null) terminal.say(`${model} is ${event.state}: ${printable(event.reason)}`);
}
