import { createHash, type Hash } from "node:crypto";

/** So often in a row a tensor's bytes must have gone to the same place, and nowhere else, before that is relied on. */
const SIGHTS_MIN = 3;
/** Results that were fetched and not seen again: so many may be under way, more are the head's own. */
const PENDING_MAX = 4;
/** A step fetches a handful of tensors. */
const LESSONS_MAX = 256;

/** Where a fetched tensor goes: the stage, and the name of its copy there. */
export interface CopyPlace {
  readonly stage: number;
  readonly tensor: string;
}

/** A tensor that a stage is asked for. */
export interface Fetch {
  readonly stage: number;
  /** The same for the same question of every step, whatever the number of tokens. */
  readonly key: string;
  /** The tensor's name. */
  readonly name: string;
  readonly bytes: number;
}

/** Bytes that pass, looked at for their digest. */
export interface Sight {
  see(bytes: Buffer): void;
  end(): void;
}

interface Fetched {
  readonly bytes: number;
  digest: string | null;
}

interface Lesson {
  readonly stage: number;
  readonly name: string;
  pure: boolean;
  seen: number;
  place: CopyPlace | null;
  pending: Fetched[];
}

/**
 * Learns which of the tensors that a head fetches from a stage are copies to another and nothing else: the very bytes are set there,
 * under a name that says so, every time. One time that differs, and the tensor is the head's own for good.
 */
export interface CopyLessons {
  /** Where it goes, where that is known. */
  placeOf(fetch: Fetch): CopyPlace | null;
  /** It is being fetched; null where there is nothing to learn from it. */
  fetched(fetch: Fetch): Sight | null;
  /** So many bytes are being set; null where they are no candidate. */
  set(place: CopyPlace, bytes: number): Sight | null;
}

export function createCopyLessons(): CopyLessons {
  const lessons = new Map<string, Lesson>();
  const idOf = ({ stage, key }: Fetch): string => `${stage}/${key}`;
  const known = (lesson: Lesson): boolean => lesson.seen >= SIGHTS_MIN;

  function lessonOf(fetch: Fetch): Lesson | null {
    const found = lessons.get(idOf(fetch));
    if (found !== undefined || lessons.size >= LESSONS_MAX) return found ?? null;
    const { stage, name } = fetch;
    const lesson: Lesson = { stage, name, pure: true, seen: 0, place: null, pending: [] };
    lessons.set(idOf(fetch), lesson);
    return lesson;
  }

  function spoil(lesson: Lesson): void {
    lesson.pure = false;
    lesson.seen = 0;
    lesson.pending = [];
  }

  function learn(lesson: Lesson, place: CopyPlace, bytes: number, digest: string): void {
    const at = lesson.pending.findIndex((fetched) => fetched.bytes === bytes && fetched.digest === digest);
    const elsewhere = lesson.place !== null && (lesson.place.stage !== place.stage || lesson.place.tensor !== place.tensor);
    // What was fetched before it went nowhere; or what is set under its name is something else.
    if (at !== 0 || elsewhere) return spoil(lesson);
    lesson.pending.shift();
    lesson.place = place;
    lesson.seen += 1;
  }

  return {
    placeOf(fetch) {
      const lesson = lessons.get(idOf(fetch));
      return lesson !== undefined && known(lesson) ? lesson.place : null;
    },
    fetched(fetch) {
      const lesson = lessonOf(fetch);
      if (lesson === null || !lesson.pure || known(lesson)) return null;
      if (lesson.pending.length >= PENDING_MAX) {
        spoil(lesson);
        return null;
      }
      const fetched: Fetched = { bytes: fetch.bytes, digest: null };
      lesson.pending.push(fetched);
      return sight((digest) => (fetched.digest = digest));
    },
    set(place, bytes) {
      const candidates = [...lessons.values()].filter(
        (lesson) => lesson.pending.length > 0 && lesson.stage !== place.stage && place.tensor.includes(`#${lesson.name}#`),
      );
      if (candidates.length === 0) return null;
      return sight((digest) => {
        for (const lesson of candidates) if (lesson.pending.length > 0) learn(lesson, place, bytes, digest);
      });
    },
  };
}

function sight(done: (digest: string) => void): Sight {
  const hash: Hash = createHash("sha256");
  return { see: (bytes) => void hash.update(bytes), end: () => done(hash.digest("hex")) };
}
