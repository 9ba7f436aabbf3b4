//! `history`: from readings and from roll-ups.

use redis::Commands as _;

use super::{DEVICE, json, now, run, server};

/// Stores a reading every ten seconds on a plain Redis: 20.0 at the start of a minute to 25.0 at its end.
fn readings(redis: &mut redis::Connection, from: u64, count: u64) {
    for n in 0..count {
        let id = format!("{}-0", from + n * 10_000);
        let value = format!("{}", 20 + n % 6);
        let _: String = redis
            .xadd(format!("sensor:{DEVICE}:temp"), id, &[("t", value)])
            .unwrap();
    }
}

#[test]
fn history_shows_readings_as_table_csv_and_json() {
    let (_server, mut redis, url) = server();
    let start = now() / 60_000 * 60_000 - 600_000;
    readings(&mut redis, start, 12);
    let iso = |ms: u64| {
        jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap())
            .unwrap()
            .to_string()
    };
    let (from, to) = (iso(start), iso(start + 119_999));
    let history = |more: &[&str]| {
        run(
            &url,
            &[&["history", DEVICE, "--from", &from, "--to", &to], more].concat(),
        )
    };
    let csv = history(&["--every", "1m", "--csv"]);
    let second = start + 60_000;
    assert_eq!(
        csv.out,
        format!("timestamp,avg,min,max\n{start},22.5,20,25\n{second},22.5,20,25\n"),
        "{}",
        csv.err
    );
    let raw = json(&history(&["--json"]));
    assert_eq!(raw["rows"].as_array().unwrap().len(), 12);
    assert_eq!(raw["rows"][5]["temperature"], 25.0);
    let table = history(&["--every", "1m"]).out;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "inlet-B07-1, °C, every 1m");
    assert_eq!(lines[1], "20.0 ▅▅ 25.0");
    assert_eq!(lines[2], "time                        avg   min   max");
    assert!(lines[3].ends_with(":00+00:00  22.5  20.0  25.0"), "{table}");
}

#[test]
fn history_older_than_the_readings_comes_from_roll_ups() {
    let (_server, mut redis, url) = server();
    let minute = (now() - 24 * 3_600_000) / 300_000 * 300_000;
    for (which, value) in [("avg", "21"), ("min", "20"), ("max", "23.5")] {
        for n in 0..5 {
            let key = format!("sensor:{DEVICE}:temp:1m:{which}");
            let id = format!("{}-0", minute + n * 60_000);
            let _: String = redis.xadd(key, id, &[("t", value)]).unwrap();
        }
    }
    let args = [
        "history", DEVICE, "--from", "-26h", "--every", "5m", "--csv",
    ];
    assert_eq!(
        run(&url, &args).out,
        format!("timestamp,avg,min,max\n{minute},21,20,23.5\n")
    );
}

#[test]
fn history_of_an_unknown_device_suggests_similar_ones() {
    let (_server, mut redis, url) = server();
    let _: () = redis.hset("rackwatch:devices", DEVICE, "{}").unwrap();
    let unknown = run(&url, &["history", "inlet-B07-9"]);
    assert_eq!(unknown.code, Some(1));
    assert_eq!(
        unknown.err,
        "error: no such device: inlet-B07-9; did you mean inlet-B07-1?\n"
    );
    let silent = run(&url, &["history", DEVICE]);
    assert_eq!(silent.code, Some(0), "{}", silent.err);
    assert!(silent.out.contains("No readings between"), "{}", silent.out);
    assert_eq!(
        run(&url, &["history", DEVICE, "--from", "now"]).code,
        Some(2)
    );
    assert_eq!(
        run(&url, &["history", DEVICE, "--every", "often"]).code,
        Some(2)
    );
    assert_eq!(run(&url, &["history", "a b"]).code, Some(2));
}
