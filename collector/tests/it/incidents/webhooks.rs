//! The webhook notifier with receivers that are down, fail, hang, or ask for a pause.

use std::collections::BTreeMap;
use std::fs;

use rackwatch_collector::failpoint;
use rackwatch_testing::{
    Answer, Program, RedisServer, Request, WebhookReceiver, free_port, wait_until_sync,
};
use serde_json::Value;
use tempfile::TempDir;

use super::{A_SECOND, now, wait_notified};
use crate::rig::{DEADLINE, connect, send};

/// A collector with a webhook notifier, and its configuration.
struct Notifying {
    folder: TempDir,
    url: String,
}

impl Notifying {
    fn new(redis: &str, webhook: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "a secret of some length\n").unwrap();
        let config = format!(
            "[partition]\nlease = \"1s\"\n[incidents]\nresolve_after = \"0s\"\n[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = {webhook:?}\n\
             secret_file = \"{}\"\ntimeout = \"1s\"\nretry_max = \"1s\"\n",
            secret.display()
        );
        fs::write(folder.path().join("collector.toml"), config).unwrap();
        let url = redis.to_owned();
        Self { folder, url }
    }

    fn start(&self, failpoint: &str) -> Program {
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let config = self.folder.path().join("collector.toml");
        Program::spawn(
            env!("CARGO_BIN_EXE_rackwatch-collector"),
            &["run", "--redis", &self.url, "--listen", &listen],
            &[
                ("RACKWATCH_CONFIG", &config.display().to_string()),
                ("RACKWATCH_FAILPOINT", failpoint),
            ],
        )
        .unwrap()
    }
}

/// Returns how often each key was delivered.
fn delivered(receiver: &WebhookReceiver) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for request in receiver.requests() {
        if request.answer == Answer::Status(200) {
            *keys
                .entry(request.headers["webhook-id"].clone())
                .or_default() += 1;
        }
    }
    keys
}

fn wait_delivered(receiver: &WebhookReceiver, expected: usize) -> Vec<Request> {
    let mut seen = 0;
    let reached = wait_until_sync(DEADLINE, "the delivery", || {
        seen = delivered(receiver).len();
        (seen == expected).then_some(())
    });
    assert!(reached.is_ok(), "{seen} instead of {expected}");
    let requests = receiver.requests().into_iter();
    requests
        .filter(|r| r.answer == Answer::Status(200))
        .collect()
}

#[test]
fn a_message_describes_the_incident_and_is_signed() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(&server.url(), &receiver.url());
    let collector = notifying.start("");
    wait_until_sync(DEADLINE, "its consumer group", || {
        let made: redis::RedisResult<redis::streams::StreamInfoGroupsReply> =
            redis::Commands::xinfo_groups(redis, "rackwatch:incidents");
        made.ok().filter(|groups| !groups.groups.is_empty())
    })
    .unwrap();
    send(redis, "inlet-R1-1", now(), "33.0");
    let request = wait_delivered(&receiver, 1).remove(0);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["incident"]["event"], "opened");
    assert_eq!(body["incident"]["severity"], "critical");
    assert_eq!(body["incident"]["cause"], "sensor");
    assert_eq!(body["incident"]["cause_name"], "inlet-R1-1");
    assert_eq!(body["id"], request.headers["webhook-id"]);
    assert_eq!(
        request.headers["idempotency-key"],
        request.headers["webhook-id"]
    );
    let text = body["text"].as_str().unwrap();
    assert!(
        text.contains("CRITICAL incident   too hot: sensor inlet-R1-1"),
        "{text}"
    );
    assert!(request.headers["webhook-signature"].starts_with("v1,"));
    assert!(
        !collector.stderr().contains("hunter2"),
        "{}",
        collector.stderr()
    );
}

#[test]
fn every_incident_is_delivered_with_one_key_whatever_the_receiver_does() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    // Down at first.
    let port = free_port().unwrap();
    let url = format!("http://127.0.0.1:{port}/hook?token=hunter2");
    let notifying = Notifying::new(&server.url(), &url);
    let mut collector = notifying.start("");
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    wait_until_sync(DEADLINE, "the warning", || {
        collector
            .stderr()
            .contains("cannot send a notification")
            .then_some(())
    })
    .unwrap();
    assert!(
        !collector.stderr().contains("hunter2"),
        "{}",
        collector.stderr()
    );
    let receiver = WebhookReceiver::start(port).unwrap();
    let tried = |receiver: &WebhookReceiver, answer: Answer| {
        receiver.answer(answer);
        let before = receiver.requests().len();
        wait_until_sync(DEADLINE, "an attempt", || {
            let answered = receiver.requests();
            answered[before..]
                .iter()
                .any(|r| r.answer == answer)
                .then_some(())
        })
        .unwrap();
    };
    receiver.answer(Answer::Status(500));
    tried(&receiver, Answer::Status(500));
    tried(&receiver, Answer::Hang);
    tried(&receiver, Answer::TooMany(1));
    // A restart between attempts loses nothing.
    collector.kill().unwrap();
    let _collector = notifying.start("");
    tried(&receiver, Answer::Status(503));
    receiver.answer(Answer::Status(200));
    wait_delivered(&receiver, 1);
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    let all = wait_delivered(&receiver, 2);
    let keys: Vec<_> = all
        .iter()
        .map(|r| r.headers["webhook-id"].as_str())
        .collect();
    assert!(
        keys[0].ends_with("-1") && keys[keys.len() - 1].ends_with("-2"),
        "{keys:?}"
    );
    let opened = receiver.requests();
    let first: Vec<_> = opened
        .iter()
        .filter(|r| r.headers["webhook-id"] == keys[0])
        .collect();
    assert!(first.len() > 4, "all attempts have one key");
}

#[test]
fn a_collector_killed_before_the_acknowledgement_sends_the_same_key_again() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(&server.url(), &receiver.url());
    let mut doomed = notifying.start(failpoint::SENT);
    send(redis, "inlet-R1-1", now(), "33.0");
    doomed.wait_exit(DEADLINE).unwrap();
    let _collector = notifying.start("");
    wait_until_sync(DEADLINE, "the second delivery", || {
        (delivered(&receiver).values().next() == Some(&2)).then_some(())
    })
    .unwrap();
    assert_eq!(delivered(&receiver).len(), 1);
}

#[test]
fn a_rejected_notification_does_not_block_the_others() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    receiver.answer(Answer::Status(422));
    let notifying = Notifying::new(&server.url(), &receiver.url());
    let collector = notifying.start("");
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_until_sync(DEADLINE, "the rejection", || {
        collector
            .stderr()
            .contains("rejected a notification")
            .then_some(())
    })
    .unwrap();
    receiver.answer(Answer::Status(200));
    // Not the end of that incident, as the receiver never got its beginning.
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    send(redis, "inlet-R2-1", start + 1000, "8.0");
    let all = wait_delivered(&receiver, 1);
    let body: Value = serde_json::from_str(&all[0].body).unwrap();
    assert_eq!(
        body["incident"]["title"],
        "too cold: sensor inlet-R2-1 in R2"
    );
    assert_eq!(body["incident"]["event"], "opened");
}

#[test]
fn a_wrong_address_fails_the_start_and_is_not_shown() {
    let server = RedisServer::start().unwrap();
    for (url, why) in [
        (
            "ftp://user:hunter2@example.org",
            "notify \"ops\": url is not an http",
        ),
        ("hunter2", "notify \"ops\": url is not an http"),
    ] {
        let notifying = Notifying::new(&server.url(), url);
        let mut collector = notifying.start("");
        let code = collector.wait_exit(10 * A_SECOND).unwrap().code();
        assert_eq!(code, Some(2), "{}", collector.stderr());
        assert!(collector.stderr().contains(why), "{}", collector.stderr());
        assert!(
            !collector.stderr().contains("hunter2"),
            "{}",
            collector.stderr()
        );
    }
}
