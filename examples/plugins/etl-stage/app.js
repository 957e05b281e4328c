// Adds a column `total`, the product of `price` and `pieces`.

let price, pieces;

export const stage = {
  columns(given) {
    [price, pieces] = [given.indexOf("price"), given.indexOf("pieces")];
    if (price < 0 || pieces < 0) throw "the columns price and pieces are needed";
    return [...given, "total"];
  },
  process(given) {
    const batch = { rows: [], rejected: [] };
    given.forEach((row, position) => {
      const [each, count] = [row[price], row[pieces]];
      if (typeof each?.val !== "number" || typeof count?.val !== "number") {
        batch.rejected.push({ position, reason: "price and pieces are to be numbers" });
      } else {
        batch.rows.push([...row, { tag: "number", val: each.val * count.val }]);
      }
    });
    return batch;
  },
};
