//! The webhook: receivers that are down, answer with errors, hang or ask for patience.

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

/// A collector that tells a webhook, and what it needs.
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
            "[partition]\nlease = \"1s\"\n[incidents]\nhold = \"0s\"\n[[notify]]\nname = \"ops\"\ntype = \"webhook\"\nurl = {webhook:?}\n\
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

/// What has arrived, by its key: how often.
fn arrived(receiver: &WebhookReceiver) -> BTreeMap<String, usize> {
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

fn wait_arrived(receiver: &WebhookReceiver, expected: usize) -> Vec<Request> {
    let mut seen = 0;
    let reached = wait_until_sync(DEADLINE, "it has arrived", || {
        seen = arrived(receiver).len();
        (seen == expected).then_some(())
    });
    assert!(reached.is_ok(), "{seen} instead of {expected}");
    let requests = receiver.requests().into_iter();
    requests
        .filter(|r| r.answer == Answer::Status(200))
        .collect()
}

#[test]
fn what_arrives_says_what_it_is_and_can_be_checked() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(&server.url(), &receiver.url());
    let collector = notifying.start("");
    wait_until_sync(DEADLINE, "its group is there", || {
        let made: redis::RedisResult<redis::streams::StreamInfoGroupsReply> =
            redis::Commands::xinfo_groups(redis, "rackwatch:incidents");
        made.ok().filter(|groups| !groups.groups.is_empty())
    })
    .unwrap();
    send(redis, "inlet-R1-1", now(), "33.0");
    let request = wait_arrived(&receiver, 1).remove(0);
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
fn whatever_the_receiver_does_every_incident_arrives_with_one_key() {
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
    wait_until_sync(DEADLINE, "it is said that it is down", || {
        collector.stderr().contains("cannot be sent").then_some(())
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
        wait_until_sync(DEADLINE, "it is tried", || {
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
    // A restart in the middle loses nothing.
    collector.kill().unwrap();
    let _collector = notifying.start("");
    tried(&receiver, Answer::Status(503));
    receiver.answer(Answer::Status(200));
    wait_arrived(&receiver, 1);
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    let all = wait_arrived(&receiver, 2);
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
    assert!(first.len() > 4, "tried again and again with one key");
}

#[test]
fn killed_between_sending_and_noting_it_the_same_key_comes_again() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(&server.url(), &receiver.url());
    // The first entry is that it is there, or that people are told.
    let mut doomed = notifying.start(failpoint::SENT);
    send(redis, "inlet-R1-1", now(), "33.0");
    doomed.wait_exit(DEADLINE).unwrap();
    let _collector = notifying.start("");
    wait_until_sync(DEADLINE, "it comes again", || {
        (arrived(&receiver).values().next() == Some(&2)).then_some(())
    })
    .unwrap();
    assert_eq!(arrived(&receiver).len(), 1);
}

#[test]
fn what_is_refused_for_good_does_not_hold_up_the_rest() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    receiver.answer(Answer::Status(422));
    let notifying = Notifying::new(&server.url(), &receiver.url());
    let collector = notifying.start("");
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_until_sync(DEADLINE, "it is refused", || {
        collector
            .stderr()
            .contains("refuses an incident")
            .then_some(())
    })
    .unwrap();
    receiver.answer(Answer::Status(200));
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    let all = wait_arrived(&receiver, 1);
    let body: Value = serde_json::from_str(&all[0].body).unwrap();
    assert_eq!(body["incident"]["event"], "resolved");
}

#[test]
fn a_wrong_notifier_stops_the_start_without_showing_its_address() {
    let server = RedisServer::start().unwrap();
    for (url, why) in [
        (
            "ftp://user:hunter2@example.org",
            "notify \"ops\": url is no",
        ),
        ("hunter2", "notify \"ops\": url is no"),
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
