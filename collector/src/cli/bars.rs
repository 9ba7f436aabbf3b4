//! Bars that make up sparklines.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns the bar whose height is `height`, from 0 to 1.
pub(super) fn bar(height: f64) -> char {
    let above = (1..BARS.len())
        .filter(|n| height >= *n as f64 / BARS.len() as f64)
        .count();
    BARS.get(above).copied().unwrap_or('█')
}
