import * as host from "airssys:core/host@1.0.0";

function writer(level) {
  return (message, fields = {}) => {
    const written = Object.entries(fields).map(([name, value]) => [name, String(value)]);
    host.log(level, String(message), written);
  };
}

export const log = {
  trace: writer("trace"),
  debug: writer("debug"),
  info: writer("info"),
  warning: writer("warning"),
  error: writer("error"),
};
