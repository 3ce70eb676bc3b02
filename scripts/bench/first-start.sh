#!/bin/bash
# A stranger's first minutes, measured: a fresh clone with empty caches to the first right answer, what Ctrl-C leaves behind, a warm
# start, and the daemon at rest (with the demo model deployed). Needs curl; runs on any free machine with ports 2573 to 2575 free.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone -q "$root" "$work/clone"
mkdir "$work/home"
export HOME=$work/home XDG_CACHE_HOME=$work/home/.cache
cd "$work/clone" || exit 1

answers() {
  curl -s 127.0.0.1:2573/v1/chat/completions -H 'content-type: application/json' \
    -d '{"model":"demo","messages":[{"role":"user","content":"What is the capital of France?"}],"temperature":0}' | grep -q Paris
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
start_until_answer() {
  began=$(now_ms)
  setsid npm start >"$work/$1.log" 2>&1 &
  group=$!
  until answers; do
    sleep 0.1
    if [ $(($(now_ms) - began)) -gt 600000 ]; then cat "$work/$1.log"; exit 1; fi
  done
  echo "$1: $(($(now_ms) - began)) ms to the first right answer"
}
end() {
  kill -INT "-$group"
  sleep 4
  echo "processes left: $(pgrep -fc "$work/" || true)"
}

start_until_answer fresh
end
start_until_answer warm
daemon=$(pgrep -f "$work/clone/packages/cli/src/main.ts" | head -n 1)
sleep 10
awk '/VmRSS/ { print "resident at rest: " $2 " kB" }' "/proc/$daemon/status"
ticks() { awk '{ print $14 + $15 }' "/proc/$daemon/stat"; }
before=$(ticks)
sleep 15
echo "processor at rest: $(($(ticks) - before)) of $((15 * $(getconf CLK_TCK))) ticks in 15 s"
end
