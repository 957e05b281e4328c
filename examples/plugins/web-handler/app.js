// Answers `/hello` with a greeting, and leaves everything else to others.

const bytes = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (byte) => byte.charCodeAt(0));

export const handler = {
  handle({ method, path, query, user }) {
    if (path !== "/hello") return null;
    if (method !== "GET") return { status: 405, contentType: "text/plain", body: bytes("GET only") };
    const name = user ?? Object.fromEntries(query).name ?? "world";
    return { status: 200, contentType: "text/plain; charset=utf-8", body: bytes(`Hello, ${name}!`) };
  },
};
