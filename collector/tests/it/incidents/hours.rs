//! Routes with hours: a notifier that is off gets no ends of incidents, and what still fires when its hours begin.

use rackwatch_testing::{RedisServer, WebhookReceiver};

use super::notifying::{Notifying, delivery_log, notifier, wait};
use super::{now, wait_notified};
use crate::rig::{connect, send};

/// Returns a time of day in UTC, so many seconds from now.
fn in_seconds(seconds: u64) -> String {
    let of_day = (now() / 1000 + seconds) % 86_400;
    let (hours, minutes) = (of_day / 3600, of_day / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", of_day % 60)
}

/// Returns a webhook whose hours begin in so many seconds, and last for hours.
fn from_in(receiver: &WebhookReceiver, seconds: u64) -> String {
    let (from, to) = (in_seconds(seconds), in_seconds(seconds + 5 * 3600));
    let more = format!(
        "url = \"{}\"\n[[notify.routes]]\nhours = \"{from}-{to}\"",
        receiver.url()
    );
    notifier("webhook", &more)
}

#[test]
fn a_notifier_without_the_beginning_does_not_get_the_end() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let [chat, off] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
    let text = notifier("slack", &format!("url = \"{}\"", chat.url())) + &from_in(&off, 2 * 3600);
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait("the beginning", || chat.requests().pop());
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("the end", || (chat.requests().len() == 2).then_some(()));
    wait("both are skipped", || {
        let states = delivery_log(redis);
        let of_webhook = states.iter().filter(|((name, _), _)| name == "webhook");
        let skipped = of_webhook.filter(|(_, state)| *state == "skipped");
        (skipped.count() == 2).then_some(())
    });
    assert_eq!(off.requests().len(), 0);
}

#[test]
fn what_still_fires_when_the_hours_begin_is_sent_once() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(&server.url(), &from_in(&receiver, 8));
    let collector = notifying.start();
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical")]);
    wait("it waits", || {
        delivery_log(redis)
            .values()
            .any(|state| state == "queued")
            .then_some(())
    });
    assert_eq!(receiver.requests().len(), 0);
    // The restarted collector knows what waits.
    drop(collector);
    let collector = notifying.start();
    let first = wait("the hours", || receiver.requests().pop());
    wait("the delivery", || {
        delivery_log(redis)
            .values()
            .any(|state| state == "sent")
            .then_some(())
    });
    // Another start sends nothing again: the next message is the end.
    drop(collector);
    let _collector = notifying.start();
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("the end", || (receiver.requests().len() > 1).then_some(()));
    let ids: Vec<_> = receiver
        .requests()
        .iter()
        .map(|request| request.headers["webhook-id"].clone())
        .collect();
    let incident = first.headers["webhook-id"].trim_end_matches("-1");
    assert_eq!(ids, [format!("{incident}-1"), format!("{incident}-2")]);
}
