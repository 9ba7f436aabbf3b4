//! Times as people read them.

use jiff::tz::TimeZone;
use rackwatch_core::time::Timestamp;

/// Formats a time in `zone`, to the second: `2026-11-23 14:02:11+01:00`.
pub fn time(at: Timestamp, zone: &TimeZone) -> String {
    let millis = i64::try_from(at.millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => at
            .to_zoned_datetime(zone.clone())
            .strftime("%Y-%m-%d %H:%M:%S%:z")
            .to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rackwatch_core::time::format_duration;

    #[test]
    fn durations_are_short() {
        let formatted = |seconds| format_duration(Duration::from_secs(seconds));
        assert_eq!(formatted(45), "45s");
        assert_eq!(formatted(130), "2m10s");
        assert_eq!(formatted(840), "14m");
        assert_eq!(formatted(11_100), "3h05m");
        assert_eq!(formatted(187_200), "2d4h");
    }
}
