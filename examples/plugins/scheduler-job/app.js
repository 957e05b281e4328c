// Runs at every full hour, and each of them once; what was planned for another time waits for the next.

const HOUR = 3_600_000;
let last;

export const job = {
  next: (after) => (Math.floor(after / HOUR) + 1) * HOUR,
  run(planned) {
    if (planned % HOUR) return { tag: "again", val: (Math.floor(planned / HOUR) + 1) * HOUR };
    if (last === planned) throw "that hour was done";
    last = planned;
    return { tag: "done", val: `hour ${(planned / HOUR) % 24}` };
  },
};
