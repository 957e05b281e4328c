export class ComponentError extends Error {
  get name() {
    return this.constructor.name;
  }
}

export class Refused extends ComponentError {}

export class NotUnderstood extends ComponentError {}

export class Delivery extends ComponentError {
  constructor(reason, detail) {
    super(detail === undefined ? reason : `${reason}: ${shown(detail)}`);
    this.reason = reason;
    this.detail = detail;
  }
}

function shown(detail) {
  if (typeof detail !== "object") return String(detail);
  return JSON.stringify(detail, (_, each) => (typeof each === "bigint" ? Number(each) : each));
}
