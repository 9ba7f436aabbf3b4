//! Golden tests of everything that leaves the collector.
//!
//! `contract_*` are what other programs rely on. `format_*` are formats of Rackwatch's own. `words_*` are
//! texts for people.

mod notifiers;
mod docs;
mod lines;
mod offline;
mod running;
mod shape;

use rackwatch_testing::{assert_golden, help_pages};

#[test]
fn help_of_every_command() {
    let text = help_pages(env!("CARGO_BIN_EXE_rackwatch-collector")).unwrap();
    assert_golden!("words_help.txt", text);
}
