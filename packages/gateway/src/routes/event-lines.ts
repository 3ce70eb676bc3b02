/**
 * Events as NDJSON, each sent once the reader has taken the one before. A reader that goes ends the loop over `events`; `gone` is told
 * at once, where the next event may take long.
 */
export function eventLines<Event>(
  first: IteratorResult<Event, void>,
  events: AsyncGenerator<Event, void>,
  gone?: () => void,
): Response {
  let next: IteratorResult<Event, void> | null = first;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = next ?? (await events.next());
        next = null;
        if (done === true) controller.close();
        else controller.enqueue(Buffer.from(`${JSON.stringify(value)}\n`));
      },
      cancel() {
        gone?.();
        void events.return();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, {
    headers: { "content-type": "application/x-ndjson; charset=utf-8", "cache-control": "no-cache" },
  });
}
