//! All that is fixed for a kind of alert: its words, its unit, and its place among the others.

use std::fmt::Write as _;

use rackwatch_core::alert::AlertKind;
use rackwatch_testing::assert_golden;

#[test]
fn words_and_order_of_kinds() {
    // The one that names an incident comes first.
    let mut kinds = AlertKind::ALL.map(AlertKind::info);
    kinds.sort_by_key(|info| std::cmp::Reverse(info.rank));
    let mut text = String::new();
    for info in kinds {
        let headline = info.headline;
        writeln!(text, "{} ({}): {headline}", info.name, info.title).unwrap();
        if let Some(below) = info.headline_below {
            writeln!(text, "  downwards: {below}").unwrap();
        }
        let unit = info.unit;
        writeln!(text, "  rank {}, thresholds in {unit:?}", info.rank).unwrap();
        writeln!(text, "  peak {:?}, side {:?}", info.peak, info.side).unwrap();
        if let Some(family) = info.recovery_of {
            writeln!(text, "  the way back from {family:?}").unwrap();
        }
        if let Some(symptom) = info.symptom {
            writeln!(text, "  the sensor {symptom}").unwrap();
        }
    }
    assert_golden!("words_kinds.txt", text);
}
