// The API, asked.

/** What came back was no answer; `message` is for people. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(method, path, body) {
  let response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused("The collector does not answer. Is it still running?", 0);
  }
  if (response.status === 204) return null;
  let said;
  try {
    said = await response.json();
  } catch {
    throw new Refused(`The collector answers with something else (status ${response.status}).`, response.status);
  }
  if (!response.ok) throw new Refused(said.error ?? `status ${response.status}`, response.status);
  return said;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body ?? {});
export const remove = (path) => ask("DELETE", path);
