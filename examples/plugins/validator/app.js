// Says whether a document is an address: a name, a city, and an e-mail address that looks like one.

const problem = (severity, place, message) => ({ severity, place, message });

export const validate = {
  check(text) {
    let given;
    try {
      given = JSON.parse(text);
    } catch (error) {
      return [problem("error", "", `no JSON: ${error.message}`)];
    }
    if (typeof given !== "object" || given === null) return [problem("error", "", "an object is expected")];
    const found = [];
    for (const name of ["name", "city"]) {
      const value = given[name];
      if (typeof value !== "string" || !value.trim()) found.push(problem("error", `/${name}`, "a text is expected"));
    }
    if (given.email === undefined) found.push(problem("warning", "/email", "nobody can be told"));
    else if (!/^\S+@\S+$/.test(given.email)) found.push(problem("error", "/email", "no e-mail address"));
    return found;
  },
};
