/** The prefix of what llama-server tells the process that started it, when that process says it is one to be told. */
const STATE = "cmd_child_to_router:state:";

/** Environment that makes llama-server tell how its load goes; the value is not used by it. */
export const TELL_PROGRESS: Readonly<Record<string, string>> = { LLAMA_SERVER_ROUTER_PORT: "0" };
/** What it then takes on its standard input as a request to end, and needs: after SIGTERM alone it waits for its input to end. */
export const EXIT_COMMAND = "cmd_router_to_child:exit";

/** How much of the weights is in place (0 to 1), where a line tells it, else null. */
export function parseLoadProgress(line: string): number | null {
  if (!line.startsWith(STATE)) return null;
  try {
    const told = JSON.parse(line.slice(STATE.length)) as { state?: unknown; payload?: { value?: unknown } | null };
    if (told.state === "ready") return 1;
    const value = told.payload?.value;
    return told.state === "loading" && typeof value === "number" && value >= 0 && value <= 1 ? value : null;
  } catch {
    return null;
  }
}
