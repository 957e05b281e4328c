// Converts between units of length.

const METRES = { m: 1, km: 1000, mi: 1609.344, ft: 0.3048 };
const unit = { type: "string", enum: Object.keys(METRES) };

export const tool = {
  describe: () => ({
    name: "convert_length",
    purpose: "Converts a length from one unit to another.",
    parameters: JSON.stringify({
      type: "object",
      properties: { value: { type: "number" }, from: unit, to: unit },
      required: ["value", "from", "to"],
    }),
    readOnly: true,
  }),
  call(text) {
    const { value, from, to } = JSON.parse(text);
    if (typeof value !== "number") throw { tag: "arguments", val: "value: a number is expected" };
    for (const each of [from, to]) {
      if (!(each in METRES)) throw { tag: "arguments", val: `${each}: one of ${unit.enum.join(", ")} is expected` };
    }
    return JSON.stringify({ value: (value * METRES[from]) / METRES[to], unit: to });
  },
};
