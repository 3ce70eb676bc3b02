import { MDNS_PACKET_BYTES_MAX } from "./limits.ts";

/** The service under which nodes find each other on a network (RFC 6762, RFC 6763; addresses as in libp2p's mDNS). */
export const SERVICE = "_clusterd._udp.local";

const TYPE_PTR = 12;
const TYPE_TXT = 16;
const CLASS_IN = 1;
const TTL_SECONDS = 120;
const FLAGS_ANSWER = 0x8400;
const RECORDS_MAX = 64;
const LABELS_MAX = 32;
const STRING_BYTES_MAX = 255;
const ADDRESS_KEY = "dnsaddr=";
const HEADER_BYTES = 12;

export type MdnsPacket = { readonly kind: "question" } | { readonly kind: "answer"; readonly addresses: readonly string[] };

/** The question who offers the service. */
export function encodeQuestion(): Uint8Array {
  return Buffer.concat([header(0, 1, 0), encodeName(SERVICE), u16(TYPE_PTR), u16(CLASS_IN)]);
}

/** The answer: this node, under a name of no meaning, at these multiaddrs. */
export function encodeAnswer(instance: string, addresses: readonly string[]): Uint8Array {
  const name = encodeName(`${instance}.${SERVICE}`);
  const texts = addresses
    .map((address) => Buffer.from(`${ADDRESS_KEY}${address}`, "utf8"))
    .filter((text) => text.length <= STRING_BYTES_MAX);
  const records = [
    record(encodeName(SERVICE), TYPE_PTR, name),
    ...texts.map((text) => record(name, TYPE_TXT, Buffer.concat([Buffer.of(text.length), text]))),
  ];
  return Buffer.concat([header(FLAGS_ANSWER, 0, records.length), ...records]);
}

/** What a packet says about our service; null for everything else, broken packets included. */
export function decodePacket(packet: Uint8Array): MdnsPacket | null {
  if (packet.length < HEADER_BYTES || packet.length > MDNS_PACKET_BYTES_MAX) return null;
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  const answer = (bytes.readUInt16BE(2) & 0x8000) !== 0;
  const questions = bytes.readUInt16BE(4);
  const records = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  if (questions > RECORDS_MAX || records > RECORDS_MAX) return null;
  try {
    return answer ? readAnswer(bytes, questions, records) : readQuestion(bytes, questions);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function readQuestion(bytes: Buffer, questions: number): MdnsPacket | null {
  let at = HEADER_BYTES;
  for (let index = 0; index < questions; index += 1) {
    const { name, end } = readName(bytes, at);
    const type = bytes.readUInt16BE(end);
    if (name === SERVICE && (type === TYPE_PTR || type === 255)) return { kind: "question" };
    at = end + 4;
  }
  return null;
}

function readAnswer(bytes: Buffer, questions: number, records: number): MdnsPacket | null {
  let at = HEADER_BYTES;
  for (let index = 0; index < questions; index += 1) at = readName(bytes, at).end + 4;
  let ours = false;
  const addresses: string[] = [];
  for (let index = 0; index < records; index += 1) {
    const { name, end } = readName(bytes, at);
    const type = bytes.readUInt16BE(end);
    const start = end + 10;
    const length = bytes.readUInt16BE(end + 8);
    if (start + length > bytes.length) return null;
    if (type === TYPE_PTR && name === SERVICE) ours = true;
    if (type === TYPE_TXT && name.endsWith(`.${SERVICE}`))
      addresses.push(...readAddresses(bytes.subarray(start, start + length)));
    at = start + length;
  }
  return ours && addresses.length > 0 ? { kind: "answer", addresses } : null;
}

function readAddresses(texts: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < texts.length;) {
    const length = texts[at] ?? 0;
    const text = texts.toString("utf8", at + 1, at + 1 + length);
    if (text.startsWith(ADDRESS_KEY)) found.push(text.slice(ADDRESS_KEY.length));
    at += 1 + length;
  }
  return found;
}

/** A name that may point back into the packet; a pointer forwards, or too many of them, is a broken packet. */
function readName(bytes: Buffer, from: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = from;
  let end = -1;
  for (let steps = 0; steps < LABELS_MAX; steps += 1) {
    const length = bytes.readUInt8(at);
    if ((length & 0xc0) === 0xc0) {
      const target = bytes.readUInt16BE(at) & 0x3fff;
      if (target >= at) throw new RangeError("a pointer forwards");
      if (end < 0) end = at + 2;
      at = target;
    } else if (length === 0) {
      return { name: labels.join(".").toLowerCase(), end: end < 0 ? at + 1 : end };
    } else {
      if (length > 63 || at + 1 + length > bytes.length) throw new RangeError("a label too long");
      labels.push(bytes.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
  }
  throw new RangeError("a name too long");
}

function header(flags: number, questions: number, answers: number): Buffer {
  return Buffer.concat([u16(0), u16(flags), u16(questions), u16(answers), u16(0), u16(0)]);
}

function record(name: Buffer, type: number, data: Buffer): Buffer {
  const ttl = Buffer.alloc(4);
  ttl.writeUInt32BE(TTL_SECONDS);
  return Buffer.concat([name, u16(type), u16(CLASS_IN), ttl, u16(data.length), data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.from(label, "latin1"));
  return Buffer.concat([...labels.flatMap((label) => [Buffer.of(label.length), label]), Buffer.of(0)]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
