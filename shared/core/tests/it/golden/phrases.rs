//! The words that each kind of alert adds to its line, with and without its own numbers.

use std::fmt::Write as _;

use rackwatch_core::alert::{AlertKind, AlertRecord, Detail, Extras};
use rackwatch_testing::assert_golden;

use super::alerts;

#[test]
fn phrases_of_alerts() {
    let mut text = String::new();
    for record in alerts().into_iter().filter(|r| r.resolution.is_none()) {
        let kind = record.kind();
        let bare = AlertRecord {
            detail: Detail::new(kind, Extras::default()),
            rate: None,
            ..record.clone()
        };
        writeln!(text, "{kind}").unwrap();
        for record in [record, bare] {
            let phrase = record.detail.phrase(&record.facts());
            let blind = record.detail.without_temperature(&record.facts());
            let complete = if phrase.is_complete { ", complete" } else { "" };
            writeln!(
                text,
                "  {:?}{complete}; without temperature {blind:?}",
                phrase.text
            )
            .unwrap();
        }
    }
    assert_golden!("words_phrases.txt", text);
}

#[test]
fn kinds_have_names_that_read_back() {
    for kind in AlertKind::ALL {
        assert_eq!(AlertKind::from_name(kind.name()), Some(kind));
    }
    let names = AlertKind::rule_names();
    for kind in AlertKind::RULES {
        assert!(names.contains(kind.name()), "{names}");
    }
}
