import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { formatToken } from "./cluster/token.ts";
import { founder, isMember, linked, rigNode, until } from "./testing/mesh-rig.ts";
import { canMakeNetworks, startNetwork, type Network } from "./testing/network.ts";

const SCRIPT = fileURLToPath(new URL("testing/network-member.ts", import.meta.url));
const networks = await canMakeNetworks();

type Line = { readonly type: string; readonly afterMs: number; readonly [key: string]: unknown };

interface Host extends Disposable {
  readonly lines: readonly Line[];
  readonly child: ChildProcess;
  line(type: string, fits?: (line: Line) => boolean): Promise<Line>;
}

function host(network: Network, at: number, ...args: readonly string[]): Host {
  const child = network.spawn(at, SCRIPT, args);
  const lines: Line[] = [];
  if (child.stdout !== null) createInterface({ input: child.stdout }).on("line", (line) => lines.push(JSON.parse(line) as Line));
  return {
    lines,
    child,
    line: async (type, fits = () => true) => {
      const find = (): Line | undefined => lines.find((one) => one.type === type && fits(one));
      await until(() => find() !== undefined, `${type} on host ${at}`);
      return find() as Line;
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

const standing =
  (kind: string) =>
  (line: Line): boolean =>
    (line["standing"] as { kind?: string }).kind === kind;

test.skipIf(!networks)(
  "hosts that share nothing but a bridge find each other, ask, and are let in",
  { timeout: 60_000 },
  async () => {
    await using network = await startNetwork(3);
    using first = host(network, 0, "first");
    await first.line("standing", standing("member"));
    expect((await first.line("started"))["addresses"]).toEqual([expect.stringMatching(/^\/ip4\/10\.77\.0\.1\/tcp\//)]);
    using second = host(network, 1, "second");
    const pending = await second.line("standing", standing("pending"));
    const { code } = pending["standing"] as { code: string };
    await first.line("pending", (line) => JSON.stringify(line).includes(code));
    first.child.stdin?.write(`${code}\n`);
    await second.line("connected");
    using third = host(network, 2, "third");
    const asked = await third.line("standing", standing("pending"));
    const { code: codeToo } = asked["standing"] as { code: string };
    for (const node of [first, second]) node.child.stdin?.write(`${codeToo}\n`);
    await until(() => third.lines.filter((line) => line.type === "connected").length === 2, "the third linked to both");
  },
);

test.skipIf(!networks)("three hosts that start at once end in one cluster", { timeout: 60_000 }, async () => {
  await using network = await startNetwork(3);
  using first = host(network, 0, "first");
  using second = host(network, 1, "second");
  using third = host(network, 2, "third");
  const all = [first, second, third];
  await until(
    () => all.filter((one) => one.lines.some((line) => line.type === "standing" && standing("pending")(line))).length === 2,
    "two asking",
  );
  expect(all.filter((one) => one.lines.some((line) => line.type === "standing" && standing("member")(line)))).toHaveLength(1);
});

test("nodes on one machine find each other over loopback", async () => {
  await using first = await founder({ mdns: true });
  await using second = await rigNode({ mdns: true, token: formatToken(await isMember(first)) });
  await linked(first, second);
});
