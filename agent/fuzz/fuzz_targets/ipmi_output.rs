//! Fuzzes the parser of `ipmitool`'s output.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rackwatch_agent::source::ipmi::parse;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    for row in parse(&text) {
        assert!(!row.name.is_empty());
        // No temperature without its unit.
        assert!(!matches!(row.value, Some(Ok(_))) || text.contains("degrees"));
    }
});
