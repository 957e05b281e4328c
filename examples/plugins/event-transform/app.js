// Makes an event for each item of an order; leaves out what is no order.

export const transform = {
  apply({ id, kind, time, data }) {
    if (kind !== "order.paid") return [];
    const { items } = JSON.parse(data);
    if (!Array.isArray(items)) throw "an order without items";
    return items.map((item, position) => ({
      id: `${id}/${position}`,
      kind: "item.sold",
      time,
      data: JSON.stringify(item),
    }));
  },
};
