// Denies what is too large for anybody to pay, and has a person look at what is unusual.

const MOST = 1_000_000; // of the smallest unit
const UNUSUAL = 50_000;

export const rule = {
  decide({ amount, country, recent }) {
    if (amount > MOST) return { tag: "deny", val: `more than ${MOST}` };
    if (recent > 20) return { tag: "review", val: `${recent} payments within a day` };
    if (amount > UNUSUAL && country !== "DE") return { tag: "review", val: `much, and from ${country}` };
    return { tag: "allow" };
  },
};
