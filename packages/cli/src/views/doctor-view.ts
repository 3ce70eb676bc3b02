import type { DoctorReport, FindingLevel } from "@clusterd/daemon/doctor";
import { counted } from "../text/rate.ts";
import { printable } from "../text/printable.ts";
import type { Style, Tone } from "../text/style.ts";

const TONES: Readonly<Record<FindingLevel, Tone>> = { wrong: "bad", hint: "warn" };

/** Every finding with where, why and what to do; then what is fine, and what could not be found out. */
export function doctorLines({ healthy, findings, checks }: DoctorReport, style: Style): string[] {
  const found = findings.flatMap(({ level, where, what, why, next }) => [
    `${style(TONES[level], level.padEnd(5))}  ${style("strong", printable(where))}: ${printable(what)}`,
    `       ${style("quiet", "why")}   ${printable(why)}`,
    `       ${style("quiet", "next")}  ${printable(next)}`,
  ]);
  const named = (result: string): readonly string[] =>
    checks.filter((check) => check.result === result).map(({ title }) => title);
  const fine = named("fine");
  const unknown = checks
    .filter(({ result }) => result === "unknown")
    .map(({ title, why }) => `${style("quiet", "unknown")}  ${title}: ${printable(why ?? "")}`);
  const wrong = findings.filter(({ level }) => level === "wrong").length;
  const hints = findings.length - wrong;
  const sum = healthy
    ? `${style("good", "Nothing is wrong.")}${hints === 0 ? "" : ` ${counted(hints, "thing")} could be better.`}`
    : `${style("bad", `${counted(wrong, "thing")} ${wrong === 1 ? "is" : "are"} wrong`)}${hints === 0 ? "." : `, ${hints} could be better.`}`;
  return [
    ...found,
    ...(found.length === 0 ? [] : [""]),
    ...(fine.length === 0 ? [] : [`${style("good", "fine")}  ${fine.join(", ")}`]),
    ...unknown,
    ...(named("skipped").length === 0
      ? []
      : [style("quiet", "The cluster was not looked at: no daemon runs here (clusterd join).")]),
    sum,
  ];
}
