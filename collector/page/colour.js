// Temperatures as colours, by the limits of the profile: blue is cold, pale is recommended, orange and dark red are hot.
// Readers who cannot distinguish red from green see different brightness, and the number stands beside each colour.

// [background, ink]
const COLD = ["#1f4e8c", "#ffffff"];
const COOL = ["#8db7e0", "#10202d"];
const GOOD = ["#dfe9e4", "#10202d"];
const WARM = ["#f2b45c", "#201400"];
const HOT = ["#b3261e", "#ffffff"];

/** Returns the steps of the colour scale, for the legend. */
export function legendSteps(envelope) {
  const [low, high] = envelope.recommended;
  const [least, most] = envelope.allowable;
  return [
    { colour: COLD, text: `below ${least} °C`, meaning: `below the allowable range of class ${envelope.class}` },
    { colour: COOL, text: `${least} to ${low} °C`, meaning: "below the recommended range" },
    { colour: GOOD, text: `${low} to ${high} °C`, meaning: "within the recommended range" },
    { colour: WARM, text: `${high} to ${most} °C`, meaning: "above the recommended range" },
    { colour: HOT, text: `above ${most} °C`, meaning: `above the allowable range of class ${envelope.class}` },
  ];
}

/** Returns background and ink for an inlet temperature, or null where there is none. */
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

/** Colours an element by an inlet temperature. */
export function paint(node, value, envelope) {
  const pair = envelope ? colour(value, envelope) : null;
  node.style.backgroundColor = pair ? pair[0] : "";
  node.style.color = pair ? pair[1] : "";
}
