//! The commands an operator types, run as built, against a Redis of their own.

use std::time::{Duration, SystemTime};

use rackwatch_testing::{Program, RedisServer, TimeSeriesServer, free_port};
use redis::Commands as _;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(30);

/// How a command ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn spawn(url: &str, args: &[&str]) -> Program {
    let env = [("RACKWATCH_REDIS_URL", url), ("TZ", "UTC")];
    Program::spawn(env!("CARGO_BIN_EXE_rackwatch-collector"), args, &env).unwrap()
}

fn run(url: &str, args: &[&str]) -> Ended {
    let mut program = spawn(url, args);
    let code = program.wait_exit(DEADLINE).unwrap().code();
    Ended {
        code,
        out: program.stdout(),
        err: program.stderr(),
    }
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}{}", ended.out, ended.err))
}

fn server() -> (RedisServer, redis::Connection, String) {
    let server = RedisServer::start().unwrap();
    let connection = server.client().get_connection().unwrap();
    let url = server.url();
    (server, connection, url)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}

/// 2026-11-23 13:02:11 UTC.
const AT: &str = "1795438931000";

fn alert(connection: &mut redis::Connection, id: &str, device: &str, severity: &str) {
    let fields = [
        ("type", "high_temp"),
        ("device_id", device),
        ("temperature", "33.1"),
        ("timestamp", AT),
        ("threshold", "32"),
        ("severity", severity),
        ("state", "firing"),
        ("alert_id", "a1b2c3d4e5f60718"),
        ("rule", "high_temp"),
        ("rack", "B07"),
        ("u", "42"),
        ("role", "inlet"),
    ];
    let _: String = connection.xadd("anomaly_alerts", id, &fields).unwrap();
}

const INLET: &str = "2026-11-23 13:02:11+00:00 CRITICAL high_temp  B07/U42 inlet inlet-B07-1  \
                     33.1 °C > 32.0  [a1b2c3]\n";

#[test]
fn alerts_of_the_time_asked_for_are_listed_as_lines_and_as_json() {
    let (_server, mut redis, url) = server();
    alert(
        &mut redis,
        &format!("{}-0", now() - 7_200_000),
        "inlet-B07-0",
        "critical",
    );
    alert(&mut redis, "*", "inlet-B07-1", "critical");
    alert(&mut redis, "*", "cpu-h1-1", "warning");
    let args = ["alerts", "--since", "1h", "--device", "inlet-*"];
    assert_eq!(run(&url, &args).out, INLET);
    assert_eq!(run(&url, &["alerts"]).out.lines().count(), 3);
    let worst = run(
        &url,
        &[
            "alerts",
            "--since",
            "1h",
            "--severity",
            "critical",
            "--json",
        ],
    );
    assert_eq!(json(&worst)["device_id"], "inlet-B07-1", "{}", worst.out);
    let none = run(&url, &["alerts", "--device", "x"]);
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""));
    assert!(none.err.contains("no such alerts"), "{}", none.err);
}

#[test]
fn a_long_listing_has_every_alert_once() {
    let (_server, mut redis, url) = server();
    for n in 0..1234 {
        alert(&mut redis, "*", &format!("inlet-B07-{n}"), "info");
    }
    let out = run(&url, &["alerts"]).out;
    let lines: std::collections::BTreeSet<_> = out.lines().collect();
    assert_eq!((lines.len(), out.lines().count()), (1234, 1234));
}

#[test]
fn following_goes_on_through_an_outage_and_ends_when_told() {
    let (mut server, mut redis, url) = server();
    alert(&mut redis, "*", "inlet-B07-1", "critical");
    let mut program = spawn(&url, &["alerts", "--follow"]);
    program
        .wait_stdout_contains("inlet-B07-1", DEADLINE)
        .unwrap();
    alert(&mut redis, "*", "inlet-B07-2", "critical");
    program
        .wait_stdout_contains("inlet-B07-2", DEADLINE)
        .unwrap();
    server.stop().unwrap();
    program
        .wait_stderr_contains("no connection to redis", DEADLINE)
        .unwrap();
    server.restart().unwrap();
    let mut redis = server.client().get_connection().unwrap();
    alert(&mut redis, "*", "inlet-B07-3", "critical");
    program
        .wait_stdout_contains("inlet-B07-3", DEADLINE)
        .unwrap();
    program.term().unwrap();
    let ended = program.wait_exit(Duration::from_secs(5)).unwrap();
    assert_eq!(ended.code(), Some(0), "{}", program.stderr());
    assert_eq!(program.stdout().lines().count(), 3);
}

/// Both groups, with nothing left to do.
fn groups(redis: &mut redis::Connection) {
    for (stream, group) in [
        ("raw_sensor_data", "anomaly_detector_group"),
        ("anomaly_alerts", "alert_logger_group"),
    ] {
        let _: () = redis.xgroup_create_mkstream(stream, group, "0").unwrap();
    }
}

#[test]
fn status_says_that_all_is_well_or_what_is_not() {
    let (_server, mut redis, url) = server();
    let empty = run(&url, &["status"]);
    assert_eq!(empty.code, Some(1), "{}", empty.err);
    assert!(
        empty
            .out
            .contains("wrong: anomaly_detector_group does not exist on raw_sensor_data: start"),
        "{}",
        empty.out
    );
    groups(&mut redis);
    let _: () = redis
        .hset(
            "rackwatch:devices",
            "a",
            r#"{"rack":"B07","interval_ms":1000}"#,
        )
        .unwrap();
    let _: () = redis.hset("rackwatch:devices", "b", "{}").unwrap();
    let _: () = redis
        .hset("rackwatch:episodes", "a high", r#"{"severity":"critical"}"#)
        .unwrap();
    let well = run(&url, &["status"]);
    assert_eq!(well.code, Some(0), "{}{}", well.out, well.err);
    assert!(well.out.ends_with("\nall is well\n"), "{}", well.out);
    assert!(
        well.out
            .contains("devices      2 described, 1 in no rack, 0 leaving\n"),
        "{}",
        well.out
    );
    assert!(
        well.out
            .contains("open alerts  1 critical, 0 warning, 0 info\n"),
        "{}",
        well.out
    );
    let letter = [
        ("reason", "temperature is not a decimal number"),
        ("entry", "5-0"),
    ];
    let _: String = redis.xadd("raw_sensor_data:dead", "*", &letter).unwrap();
    let report = run(&url, &["status", "--json"]);
    let report_json = json(&report);
    assert_eq!(
        (report.code, &report_json["ok"]),
        (Some(0), &Value::Bool(true))
    );
    assert_eq!(report_json["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(
        report_json["facts"]["dead"]["reasons"][0],
        "temperature is not a decimal number (entry 5-0)"
    );
    assert_eq!(report_json["facts"]["entries_per_second"], 0.0);
}

#[test]
fn status_notices_a_collector_that_is_down_or_slow() {
    let (_server, mut redis, url) = server();
    groups(&mut redis);
    let old = format!("{}-0", now() - 120_000);
    let _: String = redis.xadd("raw_sensor_data", &old, &[("a", "b")]).unwrap();
    let unread = run(&url, &["status"]);
    assert_eq!(unread.code, Some(1));
    assert!(
        unread.out.contains("has left an entry unread for 2m"),
        "{}",
        unread.out
    );

    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg("anomaly_detector_group").arg("owner");
    read.arg("STREAMS").arg("raw_sensor_data").arg(">");
    read.exec(&mut redis).unwrap();
    let stuck = run(&url, &["status"]);
    assert_eq!(stuck.code, Some(1));
    assert!(
        stuck.out.contains("has not finished an entry of 2m"),
        "{}",
        stuck.out
    );

    let _: u64 = redis
        .xack("raw_sensor_data", "anomaly_detector_group", &[&old])
        .unwrap();
    let mut many = redis::pipe();
    for _ in 0..10_001 {
        many.xadd("raw_sensor_data", "*", &[("a", "b")]).ignore();
    }
    many.exec(&mut redis).unwrap();
    let behind = run(&url, &["status"]);
    assert_eq!(behind.code, Some(1));
    assert!(
        behind.out.contains("is 10001 entries behind"),
        "{}",
        behind.out
    );
}

#[test]
fn status_warns_before_redis_is_full() {
    let server = RedisServer::start_with(&["--maxmemory", "100mb"]).unwrap();
    let mut redis = server.client().get_connection().unwrap();
    groups(&mut redis);
    for n in 0..20 {
        let _: () = redis
            .hset("rackwatch:devices", format!("d{n}"), "{}")
            .unwrap();
    }
    let report = run(&server.url(), &["status"]);
    assert_eq!(report.code, Some(0), "{}", report.out);
    assert!(
        report.out.contains("over 70 % of maxmemory"),
        "{}",
        report.out
    );
    let _: () = redis::cmd("CONFIG")
        .arg("SET")
        .arg("maxmemory")
        .arg("1mb")
        .query(&mut redis)
        .unwrap();
    let full = run(&server.url(), &["status"]);
    assert_eq!(full.code, Some(1), "{}", full.out);
    assert!(full.out.contains("Redis uses over 90 %"), "{}", full.out);
}

const DEVICE: &str = "inlet-B07-1";

/// A reading every ten seconds on a plain Redis: 20.0 at the start of a minute to 25.0 at its end.
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
fn history_beyond_the_readings_comes_from_the_roll_ups() {
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
fn history_of_an_unknown_device_names_similar_ones() {
    let (_server, mut redis, url) = server();
    let _: () = redis.hset("rackwatch:devices", DEVICE, "{}").unwrap();
    let unknown = run(&url, &["history", "inlet-B07-9"]);
    assert_eq!(unknown.code, Some(1));
    assert_eq!(
        unknown.err,
        "error: no device inlet-B07-9 is known; did you mean inlet-B07-1?\n"
    );
    let silent = run(&url, &["history", DEVICE]);
    assert_eq!(silent.code, Some(0), "{}", silent.err);
    assert!(silent.out.contains("no readings between"), "{}", silent.out);
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

#[test]
fn devices_are_listed_and_forgotten() {
    let (_server, mut redis, url) = server();
    let described = r#"{"agent":"h1","source":"hwmon","role":"inlet","rack":"B07","u":42,
        "interval_ms":1000,"limits":{"high_critical":42}}"#;
    let _: () = redis.hset("rackwatch:devices", DEVICE, described).unwrap();
    let _: () = redis
        .hset(
            "rackwatch:devices",
            "x",
            r#"{"leaving":true,"interval_ms":500}"#,
        )
        .unwrap();
    assert_eq!(
        run(&url, &["devices", "list"]).out,
        "device       role   rack  u   source  agent  every  limits       state\n\
         inlet-B07-1  inlet  B07   42  hwmon   h1     1s     critical 42\n\
         x            other  -     -   -       -      500ms  -            leaving\n"
    );
    let list = json(&run(&url, &["devices", "list", "--json"]));
    assert_eq!(
        (&list[0]["device_id"], &list[0]["u"]),
        (&DEVICE.into(), &42.into())
    );
    let forgot = run(&url, &["devices", "forget", "x"]);
    assert_eq!(forgot.code, Some(0), "{}", forgot.err);
    assert!(forgot.out.starts_with("forgot x: "), "{}", forgot.out);
    let left: Vec<String> = redis.hkeys("rackwatch:devices").unwrap();
    let revision: u64 = redis.get("rackwatch:devices:revision").unwrap();
    assert_eq!((left, revision), (vec![DEVICE.to_owned()], 1));
    let again = run(&url, &["devices", "forget", "x"]);
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("not known: x"), "{}", again.err);
}

#[test]
fn check_tries_everything_and_leaves_nothing() {
    let (_server, mut redis, url) = server();
    let report = run(&url, &["check"]);
    assert_eq!(report.code, Some(0), "{}{}", report.out, report.err);
    for line in [
        "PING       ok",
        "XACK       ok",
        "script     ok",
        "TS.ADD     skipped",
    ] {
        assert!(report.out.contains(line), "{line}: {}", report.out);
    }
    assert!(report.out.ends_with("all is well\n"), "{}", report.out);
    let left: u64 = redis::cmd("DBSIZE").query(&mut redis).unwrap();
    assert_eq!(left, 0);
    let _: () = redis::cmd("ACL")
        .arg(&["SETUSER", "default", "-eval", "-set"])
        .query(&mut redis)
        .unwrap();
    let refused = run(&url, &["check", "--json"]);
    assert_eq!(refused.code, Some(1));
    let steps = json(&refused)["steps"].as_array().unwrap().clone();
    let failed: Vec<_> = steps.iter().filter(|s| s["result"] == "failed").collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert!(failed.iter().all(|step| step["advice"].is_string()));
}

#[test]
fn all_commands_work_with_time_series_and_without_info() {
    let server = TimeSeriesServer::start().unwrap();
    let url = server.url();
    let report = run(&url, &["check"]);
    assert!(
        report.out.contains("TS.ADD     ok"),
        "{}{}",
        report.out,
        report.err
    );
    assert!(
        report
            .out
            .contains("(timeseries series, unknown maxmemory)"),
        "{}",
        report.out
    );
    let status = run(&url, &["status"]);
    assert_eq!(status.code, Some(1), "{}", status.err);
    assert!(
        status.out.contains("of unknown version"),
        "{}{}",
        status.out,
        status.err
    );
}

#[test]
fn without_redis_or_with_a_wrong_file_the_commands_say_so() {
    let url = format!("redis://127.0.0.1:{}", free_port().unwrap());
    for args in [
        &["alerts"][..],
        &["alerts", "--follow"],
        &["status"],
        &["history", DEVICE],
        &["devices", "list"],
        &["devices", "forget", "x"],
    ] {
        let ended = run(&url, args);
        assert_eq!(ended.code, Some(1), "{args:?}: {}", ended.err);
        assert!(
            ended
                .err
                .contains("cannot reach Redis at redis://127.0.0.1"),
            "{}",
            ended.err
        );
    }
    let check = run(&url, &["check"]);
    assert_eq!(check.code, Some(1), "{}", check.err);
    assert!(
        check
            .out
            .contains("connect    FAILED     cannot reach Redis"),
        "{}",
        check.out
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("collector.toml");
    std::fs::write(&file, "[redis]\nurll = 1\n").unwrap();
    let file = file.to_str().unwrap();
    for args in [
        &["status"][..],
        &["check"],
        &["alerts"],
        &["devices", "list"],
    ] {
        let ended = run(&url, &[args, &["--config", file]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.err);
        assert!(ended.err.contains("collector.toml"), "{}", ended.err);
    }
}
