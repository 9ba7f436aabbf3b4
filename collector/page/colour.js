// Temperatures as colours, by the profile's limits: blue is cold, pale is as recommended, orange and then dark red is hot.
// Told apart by people who do not see red and green; the number always stands beside it.

// [position, background, ink]; positions are those of the limits.
const COLD = ["#1f4e8c", "#ffffff"];
const COOL = ["#8db7e0", "#10202d"];
const GOOD = ["#dfe9e4", "#10202d"];
const WARM = ["#f2b45c", "#201400"];
const HOT = ["#b3261e", "#ffffff"];

/** The steps of the scale, for the legend. */
export function steps(envelope) {
  const [low, high] = envelope.recommended;
  const [least, most] = envelope.allowable;
  return [
    { colour: COLD, text: `below ${least} °C`, what: `below what class ${envelope.class} allows` },
    { colour: COOL, text: `${least} to ${low} °C`, what: "cooler than recommended" },
    { colour: GOOD, text: `${low} to ${high} °C`, what: "as recommended" },
    { colour: WARM, text: `${high} to ${most} °C`, what: "warmer than recommended" },
    { colour: HOT, text: `above ${most} °C`, what: `above what class ${envelope.class} allows` },
  ];
}

/** Background and ink for an inlet of so many degrees. */
export function colour(value, envelope) {
  if (value === null || value === undefined) return null;
  const [low, high] = envelope.recommended;
  const [least, most] = envelope.allowable;
  if (value < least) return COLD;
  if (value < low) return COOL;
  if (value <= high) return GOOD;
  if (value <= most) return WARM;
  return HOT;
}

/** Colours an element so. */
export function paint(node, value, envelope) {
  const pair = envelope ? colour(value, envelope) : null;
  node.style.backgroundColor = pair ? pair[0] : "";
  node.style.color = pair ? pair[1] : "";
}
