import { expect, test } from "vitest";
import { openOutbox } from "./outbox.ts";

const text = (parts: readonly string[]): string => parts.join("");

async function drain(stream: ReadableStream<Uint8Array>): Promise<string> {
  const parts: string[] = [];
  for await (const chunk of stream) parts.push(Buffer.from(chunk).toString());
  return text(parts);
}

test("what is sent arrives in order, also what was sent before anyone reads", async () => {
  const outbox = openOutbox({ bytesMax: 100, cut: () => false });
  outbox.send(Buffer.from("a"));
  const read = drain(outbox.stream);
  outbox.send(Buffer.from("b"));
  await new Promise((resolve) => setTimeout(resolve, 5));
  outbox.send(Buffer.from("c"));
  outbox.end();
  await expect(read).resolves.toBe("abc");
  expect(outbox.gone.aborted).toBe(false);
});

test("a reader that lets more than the limit pile up is cut, one that keeps up is not", async () => {
  let cuts = 0;
  const cut = (): boolean => {
    cuts += 1;
    return false;
  };
  const idle = openOutbox({ bytesMax: 10, cut });
  for (let at = 0; at < 5; at += 1) idle.send(Buffer.alloc(4));
  expect([cuts, idle.gone.aborted, idle.tooSlow]).toEqual([1, true, true]);
  await expect(drain(idle.stream)).rejects.toThrow(/too slowly/);

  const busy = openOutbox({ bytesMax: 10, cut });
  const read = drain(busy.stream);
  for (let at = 0; at < 5; at += 1) {
    busy.send(Buffer.from("abcd"));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  busy.end();
  await expect(read).resolves.toHaveLength(20);
  expect(cuts).toBe(1);
});

test("a reader that goes away is known to be gone", async () => {
  const outbox = openOutbox({ bytesMax: 10, cut: () => false });
  const reader = outbox.stream.getReader();
  const read = reader.read();
  await reader.cancel();
  await read;
  expect([outbox.gone.aborted, outbox.tooSlow]).toEqual([true, false]);
});
