import { formatBytes } from "@clusterd/daemon/format";
import type { VerifyEvent, VerifyFinding } from "@clusterd/wire";
import { bar } from "../text/bar.ts";
import { printable } from "../text/printable.ts";
import type { Style } from "../text/style.ts";

const BAR_CELLS = 20;

/** How far the reading is, on one line. */
export function verifyProgress(event: Extract<VerifyEvent, { event: "progress" }>): string {
  const { step, bytes, totalBytes, bytesPerSecond, secondsLeft, model } = event;
  const share = totalBytes === 0 ? 0 : bytes / totalBytes;
  const sizes = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
  if (step === "fetching") return `${bar(share, BAR_CELLS)} ${sizes} fetched again  ${printable(model)}`;
  const left = secondsLeft === null ? "" : `, ${Math.ceil(secondsLeft)} s left`;
  return `${bar(share, BAR_CELLS)} ${sizes}, ${formatBytes(bytesPerSecond)}/s${left}  ${printable(model)}`;
}

/** What was found of a file, in a line. */
export function findingLine(finding: VerifyFinding, style: Style): string {
  const where = `${printable(finding.model)}: ${printable(finding.path)}`;
  switch (finding.event) {
    case "right":
      return `${style("good", "right")}  ${where} (${formatBytes(finding.bytes)})`;
    case "unverifiable":
      return `${style("quiet", "unverifiable")}  ${where}: ${printable(finding.why)}`;
    case "damaged": {
      const { firstByte, lastByte, part, action, aside } = finding;
      const range = `bytes ${firstByte}-${lastByte}${part === null ? "" : ` (${printable(part)})`}`;
      const done = { quarantined: `put aside as ${printable(aside ?? "")}`, dropped: "dropped", kept: "left as it is" }[action];
      return `${style("bad", "damaged")}  ${where}: ${range}: ${done}`;
    }
    case "repaired": {
      const at = finding.firstByte === null ? "" : `, wrong from byte ${finding.firstByte} on`;
      return `${style("good", "repaired")}  ${where} (${formatBytes(finding.bytes)} fetched again${at})`;
    }
    case "unrepaired":
      return `${style("bad", "not repaired")}  ${where}: ${printable(finding.reason)}`;
    default:
      return finding satisfies never;
  }
}
