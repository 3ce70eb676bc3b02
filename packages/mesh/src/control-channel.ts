import type { Connection, Libp2p } from "@libp2p/interface";
import {
  asClusterdError,
  asNodeId,
  ClusterdError,
  parseControlReply,
  parseControlRequest,
  type ControlAnswers,
  type ControlRequest,
  type NodeId,
} from "@clusterd/wire";
import { openChannel } from "./channel.ts";
import type { MeshConfig } from "./mesh-config.ts";

const CONTROL_PROTOCOL = "/clusterd/control/1";
const REQUEST_MS_MAX = 5_000;
/** Requests from one peer at once. */
const STREAMS_MAX = 64;

/** Answers members' requests; anyone else's stream is cut before a byte of it is read. */
export async function serveControl(
  node: Libp2p,
  isMember: (node: NodeId) => boolean,
  onRequest: MeshConfig["onRequest"],
): Promise<void> {
  await node.handle(
    CONTROL_PROTOCOL,
    async (stream, connection) => {
      const from = asNodeId(connection.remotePeer.toString());
      if (!isMember(from)) {
        stream.abort(new Error("not a member"));
        return;
      }
      const channel = openChannel(stream);
      const gone = new AbortController();
      void channel.closed.then(() => gone.abort());
      try {
        const request = parseControlRequest(await channel.receive(AbortSignal.timeout(REQUEST_MS_MAX)));
        channel.send({ ok: true, answer: await onRequest(from, request, gone.signal) });
        // The asker closes the stream once it has read the answer.
        await Promise.race([channel.closed, new Promise((done) => setTimeout(done, REQUEST_MS_MAX).unref())]);
      } catch (error) {
        const { code, message, next } = asClusterdError(error);
        if (channel.isOpen) {
          channel.send({ ok: false, error: { code, message, next: next ?? null } });
          await Promise.race([channel.closed, new Promise((done) => setTimeout(done, REQUEST_MS_MAX).unref())]);
        }
      } finally {
        channel.close();
      }
    },
    { maxInboundStreams: STREAMS_MAX, maxOutboundStreams: STREAMS_MAX },
  );
}

/** One request over a member's connection. A failure on the other side is thrown here with its code and words. */
export async function askMember<Type extends ControlRequest["type"]>(
  connection: Connection,
  request: Extract<ControlRequest, { type: Type }>,
  signal: AbortSignal,
): Promise<ControlAnswers[Type]> {
  const channel = openChannel(await connection.newStream(CONTROL_PROTOCOL, { signal }));
  try {
    channel.send(request);
    const reply = parseControlReply<Type>(request.type, await channel.receive(signal));
    if (reply.ok) return reply.answer;
    const { code, message, next } = reply.error;
    throw new ClusterdError(code, message, next === null ? {} : { next });
  } finally {
    channel.close();
  }
}
