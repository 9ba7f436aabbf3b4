//! A notifier that fails for minutes: the others report it once, and `status` and the log say it.

use rackwatch_testing::{Answer, Program, RedisServer, WebhookReceiver};
use redis::{Commands, Connection};
use serde_json::Value;

use super::notifying::{Notifying, delivery_log, incident, notifier, wait, wait_ready};
use super::{command, now};
use crate::rig::{DEADLINE, connect, send};

const WEBHOOK: &str = "{rackwatch:incidents}:delivery:webhook";
const CHAT: &str = "{rackwatch:incidents}:delivery:slack";

/// Returns the texts of chat messages about the webhook.
fn reports(chat: &WebhookReceiver) -> Vec<String> {
    let requests = chat.requests().into_iter();
    let texts = requests.map(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        body["text"].as_str().unwrap().to_owned()
    });
    texts
        .filter(|text| text.contains("notifier \"webhook\""))
        .collect()
}

/// Starts a collector whose webhook has failed for six minutes.
fn failing_for_minutes(notifying: &Notifying, redis: &mut Connection) -> Program {
    let collector = notifying.start();
    send(redis, "inlet-R1-1", now(), "33.0");
    wait("a failed attempt", || {
        let states = delivery_log(redis);
        let mut states = states.iter();
        states
            .any(|((name, _), state)| name == "webhook" && state == "retrying")
            .then_some(())
    });
    drop(collector);
    let () = redis
        .hset(WEBHOOK, "failing_since", now() - 6 * 60_000)
        .unwrap();
    notifying.start()
}

#[test]
fn a_failing_notifier_is_reported_once_through_the_others() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let [webhook, chat] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
    webhook.answer(Answer::Status(503));
    let text = notifier("webhook", &format!("url = \"{}\"", webhook.url()))
        + &notifier("slack", &format!("url = \"{}\"", chat.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let collector = failing_for_minutes(&notifying, redis);
    let report = wait("the report", || reports(&chat).pop());
    assert!(report.contains("has delivered nothing for 6m"), "{report}");
    assert!(report.contains("receiver answered 503"), "{report}");
    let is_reported =
        |redis: &mut Connection| -> bool { redis.hexists(CHAT, "reported:webhook").unwrap() };
    wait("the report is remembered", || {
        is_reported(redis).then_some(())
    });
    wait("the log", || {
        let is_logged = collector.stderr().contains("notifier keeps failing");
        is_logged.then_some(())
    });

    // A new leader repeats nothing.
    drop(collector);
    let before = webhook.requests().len();
    let _collector = notifying.start();
    wait("another attempt", || {
        (webhook.requests().len() > before).then_some(())
    });
    webhook.answer(Answer::Status(200));
    wait("the recovery", || (!is_reported(redis)).then_some(()));
    let reports = reports(&chat);
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[1].contains("delivers again"), "{reports:?}");
    // The failing notifier itself is not bothered with it.
    let bodies = webhook.requests().into_iter().map(|request| request.body);
    assert!(bodies.into_iter().all(|body| body.contains("incident_id")));
}

#[test]
fn status_and_the_log_say_that_the_only_notifier_fails() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let webhook = WebhookReceiver::start(0).unwrap();
    webhook.answer(Answer::Status(503));
    let text = notifier("webhook", &format!("url = \"{}\"", webhook.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let collector = failing_for_minutes(&notifying, redis);
    wait("the log", || {
        let stderr = collector.stderr();
        stderr.contains("there is no other notifier").then_some(())
    });
    let mut status = notifying.run(&["status"]);
    assert_eq!(status.wait_exit(DEADLINE).unwrap().code(), Some(1));
    let output = status.stdout();
    let expected = "notifier \"webhook\" has delivered nothing for 6m";
    assert!(output.contains(expected), "{output}");
    assert!(output.contains("receiver answered 503"), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
    // Without the configuration too.
    let (code, output, _) = command(&server.url(), &["status"]);
    assert_eq!(code, Some(1));
    assert!(output.contains(expected), "{output}");
    assert!(output.contains("receiver answered 503"), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
}

#[test]
fn status_blames_the_receiver_and_not_the_notifier_while_a_notification_waits() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let webhook = WebhookReceiver::start(0).unwrap();
    webhook.answer(Answer::Status(503));
    let text = notifier("webhook", &format!("url = \"{}\"", webhook.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    wait_ready(redis, "webhook");
    // A notification that has waited for two minutes.
    let fields = rackwatch_core::wire::incident::encode(&incident(1, 1));
    let id = format!("{}-0", now() - 120_000);
    let _id: String = redis.xadd("rackwatch:incidents", id, &fields).unwrap();
    wait("a failed attempt", || {
        let failing: Option<String> = redis.hget(WEBHOOK, "failing_since").ok()?;
        failing.map(drop)
    });
    let expected = "notifier \"webhook\" has delivered nothing for ";
    let output = wait("the published state", || {
        let (_, output, _) = command(&server.url(), &["status"]);
        output.contains(expected).then_some(output)
    });
    assert!(output.contains("receiver answered 503"), "{output}");
    assert!(!output.contains("the notifier is down"), "{output}");
    assert!(!output.contains("a notification has waited"), "{output}");
}
