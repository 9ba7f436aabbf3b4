//! Routes with hours: a notifier that is off gets no ends of incidents, and what still fires when its hours begin.

use rackwatch_testing::{RedisServer, WebhookReceiver};

use super::notifying::{Notifying, delivery_log, notifier, wait};
use super::{command, now, records, wait_notified};
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

/// Silences the rack R1, and returns the id of the silence.
fn silence(url: &str) -> String {
    let args = [
        "silence", "add", "--rack", "R1", "--for", "2h", "--by", "ann",
    ];
    let (code, out, err) = command(url, &args);
    assert_eq!(code, Some(0), "{err}");
    let (_, id) = out.trim_end().rsplit_once('(').unwrap();
    id.trim_end_matches(')').to_owned()
}

#[test]
fn what_waits_and_is_silenced_when_the_hours_begin_is_sent_when_the_silence_ends() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let [receiver, chat] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
    let hours = 15;
    // A chat with the same hours shows that they have begun.
    let text =
        from_in(&receiver, hours) + &from_in(&chat, hours).replace("\"webhook\"", "\"slack\"");
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    let start = now();
    // Two rooms, so that two incidents come of it.
    site(redis);
    send(redis, "inlet-R1-1", start, "33.0");
    send(redis, "inlet-R9-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical"), ("opened", "critical")]);
    let id = silence(&server.url());
    let sent = |text: &str| {
        let requests = receiver.requests();
        let mut bodies = requests.iter().map(|request| &request.body);
        bodies.any(|body| body.contains(text))
    };
    wait("the hours", || sent("inlet-R9-1").then_some(()));
    // Both were due at once, and the silenced one is still due.
    let is_waiting = |redis: &mut redis::Connection| {
        let key = "{rackwatch:incidents}:delivery:webhook";
        let fields: Vec<String> = redis::Commands::hkeys(redis, key).unwrap();
        fields.iter().any(|field| field.starts_with("waiting:"))
    };
    send(redis, "inlet-R9-1", start + 1000, "24.0");
    wait("a later message", || {
        (receiver.requests().len() == 2).then_some(())
    });
    assert!(!sent("inlet-R1-1"), "{:?}", records(redis));
    assert!(is_waiting(redis));
    let (code, ..) = command(&server.url(), &["silence", "remove", &id]);
    assert_eq!(code, Some(0));
    wait("the end of the silence", || {
        sent("inlet-R1-1").then_some(())
    });
}

#[test]
fn what_is_resolved_while_it_waits_and_is_silenced_is_never_sent() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(&server.url(), &from_in(&receiver, 15));
    let _collector = notifying.start();
    site(redis);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    send(redis, "inlet-R9-1", start, "33.0");
    wait_notified(redis, &[("opened", "critical"), ("opened", "critical")]);
    silence(&server.url());
    wait("the hours", || receiver.requests().pop());
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("both ends are decided", || {
        let states = delivery_log(redis);
        let skipped = states.values().filter(|state| *state == "skipped");
        (skipped.count() >= 2).then_some(())
    });
    let requests = receiver.requests();
    assert!(requests.iter().all(|one| !one.body.contains("inlet-R1-1")));
}

/// Places R1 and R9 in rooms of their own.
fn site(redis: &mut redis::Connection) {
    for (device, room) in [("inlet-R1-1", "hall-1"), ("inlet-R9-1", "hall-9")] {
        let rack = &device[6..8];
        let json =
            format!("{{\"v\":1,\"rack\":\"{rack}\",\"zone\":\"{room}\",\"role\":\"inlet\"}}");
        let () = redis::Commands::hset(redis, "rackwatch:devices", device, json).unwrap();
    }
}
