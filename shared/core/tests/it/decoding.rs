//! Decoded entries: whose clock stamped them, and readings from the future.

use std::time::Duration;

use rackwatch_core::clock_offsets::Sender;
use rackwatch_core::device::DeviceId;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::{self, Decoded, Reason};

fn decode(fields: &[(&str, &str)]) -> Decoded {
    let bytes =
        |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    wire::decode(&fields.iter().map(bytes).collect())
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

/// Returns a frame of second 100 with two readings and a bad pair.
fn frame() -> Decoded {
    decode(&[
        ("agent", "host1"),
        ("seq", "r1-3"),
        ("timestamp", "100000"),
        ("readings", "a-b-1=20,a-b-2,a-b-3=21"),
    ])
}

#[test]
fn an_entry_has_the_clock_of_its_agents_run_or_of_its_device() {
    assert_eq!(frame().sender(), Some(Sender::Agent("host1", "r1")));
    let plain = [
        ("device_id", "a-b-1"),
        ("temperature", "20"),
        ("timestamp", "5"),
    ];
    let device = DeviceId::new("a-b-1").unwrap();
    assert_eq!(decode(&plain).sender(), Some(Sender::Client(&device)));
    assert_eq!(decode(&plain[1..]).sender(), None, "nothing was stamped");
}

#[test]
fn readings_of_a_clock_that_is_ahead_are_moved_back() {
    let times = |ahead| {
        let mut decoded = frame();
        decoded.correct(ahead);
        let times = decoded.readings.iter().map(|reading| reading.at.millis());
        times.collect::<Vec<_>>()
    };
    assert_eq!(times(0), [100_000, 100_000]);
    assert_eq!(times(7), [93_000, 93_000]);
    assert_eq!(times(-7), [107_000, 107_000]);
}

#[test]
fn readings_from_the_future_are_rejected_with_all_of_their_entry() {
    let limit = Duration::from_mins(1);
    let in_time = frame().without_future(at(40_000), limit);
    assert_eq!(in_time, frame(), "just within the limit");
    let decoded = frame().without_future(at(39_999), limit);
    assert_eq!(decoded.readings, []);
    let reject = decoded.reject.unwrap();
    assert_eq!(reject.readings, 3, "with the bad pair");
    let reason = Reason::Future {
        timestamp: at(100_000),
        arrived: at(39_999),
        limit,
    };
    assert_eq!(reject.reason, reason);
    assert_eq!(decoded.agent.as_deref(), Some("host1"));
}
