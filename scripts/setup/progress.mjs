const FRAME_MS = 120;
const FRAMES = ["|", "/", "-", "\\"];

function isMoving(stream, env) {
  return stream.isTTY === true && env.CI === undefined && env.NO_COLOR === undefined && env.TERM !== "dumb";
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

/** One line per step with its seconds; on a terminal a moving one for the steps under way. */
export function createProgress({ stream = process.stderr, env = process.env, quiet = false } = {}) {
  const moving = isMoving(stream, env) && !quiet;
  const running = new Map();
  let frame = 0;
  const clear = () => {
    if (moving) stream.write("\r\x1b[K");
  };
  const draw = () => {
    if (running.size === 0) return;
    const parts = [...running].map(
      ([name, step]) => `${name}${step.detail === "" ? "" : ` (${step.detail})`} ${seconds(step.since)}`,
    );
    stream.write(`\r\x1b[K${FRAMES[frame++ % FRAMES.length]} ${parts.join(" · ").slice(0, (stream.columns ?? 80) - 3)}`);
  };
  const timer = moving ? setInterval(draw, FRAME_MS) : null;
  timer?.unref();
  const end = (name, mark) => {
    const step = running.get(name);
    running.delete(name);
    if (step === undefined || quiet) return;
    clear();
    stream.write(`${mark} ${name}  ${seconds(step.since)}\n`);
  };
  return {
    start: (name) => running.set(name, { since: performance.now(), detail: "" }),
    detail: (name, text) => {
      const step = running.get(name);
      if (step !== undefined) step.detail = text;
    },
    done: (name) => end(name, "ok    "),
    failed: (name) => end(name, "failed"),
    /** A line that stays. */
    say: (text) => {
      clear();
      if (!quiet) stream.write(`${text}\n`);
    },
    close: () => {
      if (timer !== null) clearInterval(timer);
      clear();
    },
  };
}
