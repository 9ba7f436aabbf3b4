// Replies in the order of their requests: a late reply to an older request must not replace a newer one.

/** Returns a function like `request` that returns null, and throws nothing, where it was called again before the reply came. */
export function newest(request) {
  let calls = 0;
  return async (...args) => {
    calls += 1;
    const mine = calls;
    try {
      const answer = await request(...args);
      return mine === calls ? answer : null;
    } catch (error) {
      if (mine === calls) throw error;
      return null;
    }
  };
}
