//! The messages of each notifier type: path, headers and body.

use std::fmt::Write as _;
use std::fs;

use jiff::tz::TimeZone;
use rackwatch_collector::notify::line::time;
use rackwatch_collector::notify::{Message, Notifier, NotifierConfig, SendOutcome};
use rackwatch_core::alert::Severity;
use rackwatch_core::device::{DeviceId, Role};
use rackwatch_core::incident::{Cause, Event, IncidentId, IncidentRecord};
use rackwatch_core::subject::Subject;
use rackwatch_core::time::Timestamp;
use rackwatch_core::units::Celsius;
use rackwatch_testing::{Request, SmtpReceiver, WebhookReceiver, assert_golden};
use serde_json::Value;

const PAGE: &str = "https://rackwatch.example.org/";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_438_801_000 + seconds * 1000).unwrap()
}

/// Returns an incident with every field set.
pub fn incident(event: Event) -> IncidentRecord {
    let is_resolved = event == Event::Resolved;
    let devices =
        ["inlet-B07-1", "inlet-B08-1"].map(|id| Subject::from(DeviceId::new(id).unwrap()));
    IncidentRecord {
        id: IncidentId::from_wire("2647846df3c1ceb9"),
        event,
        notification_id: Some("2647846df3c1ceb9-1".to_owned()),
        severity: Severity::Critical,
        title: "cooling is failing: row <B>, 2 sensors in B07, B08".to_owned(),
        cause: Cause::Row("<B>".to_owned()),
        first: devices[0].clone(),
        since: at(0),
        until: is_resolved.then(|| at(600)),
        at: at(1200),
        racks: vec!["B07".to_owned(), "B08".to_owned()],
        rooms: vec!["hall-1".to_owned()],
        roles: vec![Role::Inlet],
        devices: devices.map(Into::into).into(),
        device_count: 2,
        alerts: 3,
        open: if is_resolved { 0 } else { 2 },
        stale: 0,
        peak: Some(Celsius::new(33.1).unwrap()),
        left_ms: Some((180_000, 240_000)),
        acked_by: (event == Event::Acked).then(|| "ann".to_owned()),
    }
}

const EVENTS: [Event; 5] = [
    Event::Opened,
    Event::Worse,
    Event::Repeat,
    Event::Acked,
    Event::Resolved,
];

/// Sends one message of each kind; `sent` says what came of each, by its title.
async fn send_all(
    notifier: &mut dyn Notifier,
    adapt: fn(IncidentRecord) -> IncidentRecord,
    mut sent: impl FnMut(&str),
) {
    for event in EVENTS {
        let record = adapt(incident(event));
        let key = "2647846df3c1ceb9-1";
        let message = Message::Incident {
            record: &record,
            key,
        };
        deliver(notifier, &message).await;
        sent(event.name());
    }
    let records = [Event::Opened, Event::Resolved].map(|event| adapt(incident(event)));
    let message = Message::Digest {
        text: "2 incidents",
        records: records.iter().collect(),
        key: "digest-1",
    };
    deliver(notifier, &message).await;
    sent("digest");
    for has_recovered in [false, true] {
        let message = Message::Failure {
            notifier: "team",
            text: "notifier \"team\" fails",
            has_recovered,
            key: "notifier-team-1",
        };
        deliver(notifier, &message).await;
        sent(if has_recovered {
            "recovered"
        } else {
            "failing"
        });
    }
    let message = Message::Test {
        text: "a test",
        key: "test-1",
    };
    deliver(notifier, &message).await;
    sent("test");
}

async fn deliver(notifier: &mut dyn Notifier, message: &Message<'_>) {
    let outcome = notifier.send(message).await;
    assert!(
        matches!(outcome, SendOutcome::Delivered { .. }),
        "{outcome:?}"
    );
}

/// Builds the notifier of a `[[notify]]`.
fn notifier_of(kind: &str, more: &str) -> Box<dyn Notifier> {
    let text = format!("name = \"ops\"\ntype = \"{kind}\"\n{more}");
    let config: NotifierConfig = toml::from_str(&text).unwrap();
    config.build(Some(PAGE)).unwrap().0.remove(0).notifier
}

/// Formats a request without the parts that change from run to run.
fn written(request: &Request) -> String {
    let mut text = format!("{}\n", request.target);
    for (name, value) in &request.headers {
        let value = match name.as_str() {
            "host" | "content-length" | "accept-encoding" => continue,
            "webhook-timestamp" => {
                assert!(value.parse::<u64>().is_ok(), "{value}");
                "<seconds since 1970>"
            }
            "webhook-signature" => {
                assert!(value.starts_with("v1,"), "{value}");
                "v1,<signature>"
            }
            _ => value,
        };
        writeln!(text, "{name}: {value}").unwrap();
    }
    let mut body: Value = serde_json::from_str(&request.body).unwrap();
    if body[0]["labels"]["notifier"].is_string() {
        body[0]["endsAt"] = Value::from("<time>");
    }
    writeln!(text, "{}", serde_json::to_string_pretty(&body).unwrap()).unwrap();
    masked(&text)
}

/// Replaces the wall clock's time and the version.
fn masked(text: &str) -> String {
    let local = time(at(1200), &TimeZone::system());
    let version = concat!("rackwatch/", env!("CARGO_PKG_VERSION"));
    text.replace(&local, "<local time>")
        .replace(version, "rackwatch/<version>")
}

async fn over_http(kind: &str, more: &str) -> String {
    let receiver = WebhookReceiver::start(0).unwrap();
    let url = receiver.url();
    let mut notifier = notifier_of(kind, &format!("url = \"{url}\"\n{more}"));
    let mut text = String::new();
    send_all(
        notifier.as_mut(),
        |record| record,
        |case| {
            let request = receiver.requests().pop().unwrap();
            writeln!(text, "==== {case}\n{}", written(&request)).unwrap();
        },
    )
    .await;
    text
}

/// Writes `text` to a file. Returns its folder, and `key = "<path>"`.
fn file(key: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, text).unwrap();
    let line = format!("{key} = \"{}\"\n", path.display());
    (folder, line)
}

#[tokio::test]
async fn webhooks() {
    let (_folder, secret) = file("secret_file", "sixteen bytes ok\n");
    assert_golden!("format_webhook.txt", over_http("webhook", &secret).await);
}

#[tokio::test]
async fn chats() {
    assert_golden!("format_slack.txt", over_http("slack", "").await);
}

#[tokio::test]
async fn pagerduty() {
    let (_folder, key) = file("key_file", "routing-key\n");
    assert_golden!("format_pagerduty.txt", over_http("pagerduty", &key).await);
}

#[tokio::test]
async fn alertmanager() {
    let (_folder, password) = file("password_file", "secret\n");
    let login = format!("user = \"rackwatch\"\n{password}");
    assert_golden!(
        "format_alertmanager.txt",
        over_http("alertmanager", &login).await
    );
}

#[tokio::test]
async fn mails() {
    let smtp = SmtpReceiver::start().unwrap();
    let more = format!(
        "host = \"127.0.0.1\"\nport = {}\nencryption = \"none\"\n\
         from = \"Rackwatch <rackwatch@example.org>\"\n\
         to = [\"ops@example.org\", \"Ann <ann@example.org>\"]\n",
        smtp.port()
    );
    let mut notifier = notifier_of("email", &more);
    let mut text = String::new();
    // Without a degree sign the text is sent as it is.
    let plain = |record| IncidentRecord {
        peak: None,
        ..record
    };
    send_all(notifier.as_mut(), plain, |case| {
        let (mail, _) = smtp.mails().pop().unwrap();
        let lines = mail.lines().map(|line| match line.split_once(": ") {
            Some(("Date", _)) => "Date: <date>",
            _ => line,
        });
        let lines: Vec<_> = lines.collect();
        writeln!(text, "==== {case}\n{}", lines.join("\n")).unwrap();
    })
    .await;
    assert_golden!("format_email.txt", masked(&text));
}
