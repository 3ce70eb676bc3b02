/** What was found wrong, or could not be found out, about a file of a model. Bytes from the file's start, first and last included. */
export type VerifyFinding =
  | {
      readonly event: "damaged";
      readonly model: string;
      readonly path: string;
      /** Where it is wrong; of a file of which only the whole is known, all of it. */
      readonly firstByte: number;
      readonly lastByte: number;
      /** `layer 3`; null: not known. */
      readonly part: string | null;
      /** Put aside under another name, forgotten, or left as it is. */
      readonly action: "quarantined" | "dropped" | "kept";
      /** The name under which it was put aside. */
      readonly aside: string | null;
    }
  | { readonly event: "unverifiable"; readonly model: string; readonly path: string; readonly why: string }
  | { readonly event: "right"; readonly model: string; readonly path: string; readonly bytes: number }
  | {
      readonly event: "repaired";
      readonly model: string;
      readonly path: string;
      /** The first byte that was wrong, where that could be told. */
      readonly firstByte: number | null;
      readonly bytes: number;
    }
  | { readonly event: "unrepaired"; readonly model: string; readonly path: string; readonly reason: string };

/** What is told while the models of a node are read again; the last event is its end. */
export type VerifyEvent =
  | VerifyFinding
  | {
      readonly event: "progress";
      /** Reading all files, or fetching again what was wrong of one. */
      readonly step: "reading" | "fetching";
      readonly model: string;
      readonly path: string;
      /** Of all files together; while fetching, of what is fetched. */
      readonly bytes: number;
      readonly totalBytes: number;
      readonly bytesPerSecond: number;
      readonly secondsLeft: number | null;
    }
  | {
      readonly event: "done";
      readonly files: number;
      readonly bytes: number;
      readonly damaged: number;
      readonly repaired: number;
      readonly unverifiable: number;
    };
