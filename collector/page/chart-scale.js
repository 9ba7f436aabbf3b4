// The scale of a chart: which values and times it shows, and where on the canvas each of them lies.

/** The space around the plot, in pixels: for numbers on the left and times below. */
export const PAD = { left: 46, right: 12, top: 14, bottom: 26 };

/** The range of a chart without data, in degrees. */
const EMPTY_RANGE = [18, 28];

/**
 * Returns the scale for data from `/series` on a canvas of some width and height. It includes limits close to the data;
 * limits far away would flatten the line. `ceiling` is a value that the data cannot exceed.
 */
export function scaleOf(data, width, height, ceiling) {
  const limits = nearLimits(data);
  const [low, high] = padded(rangeOf(data.points, limits), ceiling);
  const plot = { width: width - PAD.left - PAD.right, height: height - PAD.top - PAD.bottom };
  return {
    width,
    height,
    low,
    high,
    limits,
    x: (at) => PAD.left + ((at - data.from) / (data.to - data.from)) * plot.width,
    y: (value) => height - PAD.bottom - ((value - low) / (high - low)) * plot.height,
  };
}

function rangeOf(points, limits = []) {
  let [low, high] = points.length ? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] : EMPTY_RANGE;
  for (const [, , min, max] of points) {
    low = Math.min(low, min);
    high = Math.max(high, max);
  }
  for (const { at } of limits) {
    low = Math.min(low, at);
    high = Math.max(high, at);
  }
  return [low, high];
}

function nearLimits(data) {
  const [low, high] = rangeOf(data.points);
  const reach = Math.max(3, (high - low) * 0.8);
  return data.limits.filter((limit) => limit.at > low - reach && limit.at < high + reach);
}

/** Adds space above and below. Data at its ceiling is a line at the top, not in the middle of an empty plot. */
function padded([low, high], ceiling) {
  const space = Math.max(0.5, (high - low) * 0.08);
  if (high >= ceiling) return [Math.min(low, ceiling - 5) - space, ceiling + space / 2];
  return [low - space, high + space];
}

/** Returns the index of the point closest to a horizontal position, by binary search. */
export function nearestPoint(points, scale, position) {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scale.x(points[middle][0]) < position) low = middle + 1;
    else high = middle;
  }
  const before = low > 0 && position - scale.x(points[low - 1][0]);
  return low > 0 && before < scale.x(points[low][0]) - position ? low - 1 : low;
}
