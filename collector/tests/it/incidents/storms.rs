//! Many incidents at once: digests stay below the limits of receivers, and name each incident once.

use std::collections::BTreeSet;

use rackwatch_testing::{Answer, RedisServer, Request, WebhookReceiver};
use serde_json::Value;

use super::notifying::{Notifying, delivery_log, incident, notifier, wait, wait_ready, write};
use crate::rig::{DEADLINE, connect};

fn body(request: &Request) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// Returns the titles of the incidents that a message names.
fn titles(request: &Request) -> Vec<String> {
    let body = body(request);
    let attachments = body["attachments"].as_array().unwrap().iter();
    attachments
        .map(|one| one["title"].as_str().unwrap().to_owned())
        .collect()
}

fn accepted(receiver: &WebhookReceiver) -> Vec<Request> {
    let requests = receiver.requests().into_iter();
    requests
        .filter(|request| request.answer == Answer::Status(200))
        .collect()
}

#[test]
fn a_storm_beyond_the_limit_of_the_chat_arrives() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let chat = WebhookReceiver::start(0).unwrap();
    chat.answer(Answer::Limit(16_000));
    let text = notifier("slack", &format!("url = \"{}\"", chat.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    wait_ready(redis, "slack");
    let all: Vec<_> = (0..132).map(|n| incident(n, 1)).collect();
    write(redis, &all);
    wait("every delivery", || {
        let states = delivery_log(redis);
        let sent = states.values().filter(|state| *state == "sent").count();
        (sent == all.len()).then_some(())
    });
    let refused = chat.requests().len() - accepted(&chat).len();
    assert_eq!(refused, 0, "no message is beyond the limit");
    let mut counted = 0;
    for request in accepted(&chat) {
        let named = titles(&request).len();
        let text = body(&request)["text"].as_str().unwrap().to_owned();
        let Some((number, _)) = text.split_once(" incidents, ") else {
            counted += 1;
            continue;
        };
        let number: usize = number.parse().unwrap();
        counted += number;
        if number > named {
            let more = format!("and {} more", number - named);
            assert!(text.contains(&more), "{named} named: {text}");
        }
    }
    assert_eq!(counted, all.len());
}

#[test]
fn a_refused_digest_is_sent_as_single_messages() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let chat = WebhookReceiver::start(0).unwrap();
    // Room for one incident.
    chat.answer(Answer::Limit(1_500));
    let text = notifier("slack", &format!("url = \"{}\"\nstorm = 2", chat.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    wait_ready(redis, "slack");
    let all: Vec<_> = (0..12).map(|n| incident(n, 1)).collect();
    write(redis, &all);
    wait("a message for each", || {
        let accepted = accepted(&chat);
        let keys: BTreeSet<_> = accepted
            .iter()
            .map(|request| request.headers["idempotency-key"].clone())
            .collect();
        let all = all.iter().map(|one| one.notification_id.clone().unwrap());
        (keys == all.collect()).then_some(())
    });
}

#[test]
fn a_digest_names_each_incident_once_with_its_newest_notification() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let chat = WebhookReceiver::start(0).unwrap();
    chat.answer(Answer::Status(500));
    let text = notifier("slack", &format!("url = \"{}\"\nstorm = 1", chat.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let collector = notifying.start();
    wait_ready(redis, "slack");
    let all = (1..=3).flat_map(|count| (0..20).map(move |n| incident(n, count)));
    write(redis, &all.collect::<Vec<_>>());
    wait("an attempt", || chat.requests().pop());
    // What waits is read again after a restart.
    drop(collector);
    let _collector = notifying.start();
    chat.answer(Answer::Status(200));
    let digest = wait("the digest", || {
        let mut accepted = accepted(&chat).into_iter();
        accepted.find(|request| titles(request).len() > 1)
    });
    let named = titles(&digest);
    let distinct: BTreeSet<_> = named.iter().collect();
    assert_eq!((named.len(), distinct.len()), (20, 20), "{named:?}");
    let text = body(&digest)["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("20 incidents, "), "{text}");
    wait("every delivery", || {
        let states = delivery_log(redis);
        let newest = states.iter().filter(|((_, key), _)| key.ends_with("-3"));
        let sent = newest.filter(|(_, state)| *state == "sent").count();
        (sent == 20).then_some(())
    });
    let replaced = ("slack".to_owned(), format!("{:016x}-2", 7));
    wait("what it replaces is skipped", || {
        (delivery_log(redis).get(&replaced)? == "skipped").then_some(())
    });
}

#[test]
fn a_wrong_routing_key_of_pagerduty_is_waited_for() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let pager = WebhookReceiver::start(0).unwrap();
    // As the Events API v2 answers.
    pager.answer(Answer::Body(
        400,
        r#"{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#,
    ));
    let notifying = Notifying::new(&server.url(), "");
    let key = notifying.folder.path().join("key");
    let more = format!(
        "url = \"{}\"\nkey_file = \"{}\"",
        pager.url(),
        key.display()
    );
    let notifying = Notifying::new(&server.url(), &notifier("pagerduty", &more));
    let collector = notifying.start();
    wait_ready(redis, "pagerduty");
    write(redis, &[incident(1, 1)]);
    let key = ("pagerduty".to_owned(), format!("{:016x}-1", 1));
    let mut wait_state = |expected: &str| {
        wait(expected, || {
            let states = delivery_log(redis);
            (states.get(&key)? == expected).then_some(())
        });
    };
    wait_state("retrying");
    collector
        .wait_stderr_contains("routing key", DEADLINE)
        .unwrap();
    let stderr = collector.stderr();
    assert!(!stderr.contains("hunter2"), "{stderr}");
    // Any other fault of the event is the message's.
    pager.answer(Answer::Body(
        202,
        r#"{"status":"success","message":"Event processed"}"#,
    ));
    wait_state("confirmed");
    pager.answer(Answer::Body(
        400,
        r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.summary' is missing or blank"]}"#,
    ));
    write(redis, &[incident(2, 1)]);
    let key = ("pagerduty".to_owned(), format!("{:016x}-1", 2));
    wait("the failure", || {
        (delivery_log(redis).get(&key)? == "failed").then_some(())
    });
}
