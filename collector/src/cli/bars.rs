//! Bars in a line of text.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The bar that is as high as `share`, from 0 to 1.
pub(super) fn bar(share: f64) -> char {
    let above = (1..BARS.len())
        .filter(|n| share >= *n as f64 / BARS.len() as f64)
        .count();
    BARS.get(above).copied().unwrap_or('█')
}
