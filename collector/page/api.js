// Requests to the API. Its address is relative, as the page may be on a path of a proxy.

/** A failed request; `message` is for the reader of the page, `status` is 0 where no response came. */
class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body) {
  let response;
  try {
    response = await fetch(`api/v1/${path}`, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError("Collector unreachable. Is it still running?", 0);
  }
  if (response.status === 204) return null;
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new ApiError(`Unexpected response from the collector (status ${response.status}).`, response.status);
  }
  if (!response.ok) throw new ApiError(answer.error ?? `status ${response.status}`, response.status);
  return answer;
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body ?? {});
export const remove = (path) => request("DELETE", path);
