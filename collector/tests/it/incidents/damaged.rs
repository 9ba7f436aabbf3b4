//! The progress of one notifier is damaged: it alone waits, the others report it, and it goes on when the key is mended.

use rackwatch_testing::{Program, RedisServer, WebhookReceiver, free_port, http_get};
use redis::{Commands, Connection};
use serde_json::Value;

use super::notifying::{Notifying, incident, mail, notifier, wait, wait_ready, write};
use super::{command, now};
use crate::rig::{connect, send};

const CHAT: &str = "{rackwatch:incidents}:delivery:slack";
const WEBHOOK: &str = "{rackwatch:incidents}:delivery:webhook";

/// Ways to damage a hash: a command and its arguments after the key.
const DAMAGES: [&[&str]; 3] = [
    &["SET", "banana"],
    &["HSET", "position", "banana"],
    &["RPUSH", "a"],
];

fn damage(redis: &mut Connection, key: &str, how: &[&str]) {
    if how[0] != "HSET" {
        let () = redis.del(key).unwrap();
    }
    let mut command = redis::cmd(how[0]);
    command.arg(key).arg(&how[1..]).exec(redis).unwrap();
}

/// Returns the ids of the incidents of messages to a webhook, with the events.
fn received(receiver: &WebhookReceiver) -> Vec<(String, String)> {
    let requests = receiver.requests().into_iter();
    let all = requests.map(|request| {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let text = |name: &str| body["incident"][name].as_str().unwrap_or("").to_owned();
        (text("first"), text("event"))
    });
    all.collect()
}

fn has(receiver: &WebhookReceiver, first: &str, event: &str) -> Option<()> {
    let wanted = (first.to_owned(), event.to_owned());
    received(receiver).contains(&wanted).then_some(())
}

/// Returns the number of chat messages that contain `text`.
fn chats(chat: &WebhookReceiver, text: &str) -> usize {
    let requests = chat.requests();
    let mut bodies = requests.iter().map(|request| &request.body);
    bodies.by_ref().filter(|body| body.contains(text)).count()
}

/// A webhook whose progress is damaged, beside a chat.
struct Damaged {
    webhook: WebhookReceiver,
    chat: WebhookReceiver,
    notifying: Notifying,
    port: u16,
}

impl Damaged {
    fn new(server: &RedisServer) -> Self {
        let [webhook, chat] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
        let text = notifier("webhook", &format!("url = \"{}\"", webhook.url()))
            + &notifier("slack", &format!("url = \"{}\"", chat.url()));
        Self {
            notifying: Notifying::new(&server.url(), &text),
            webhook,
            chat,
            port: free_port().unwrap(),
        }
    }

    fn start(&self) -> Program {
        let listen = format!("127.0.0.1:{}", self.port);
        self.notifying.run(&["run", "--listen", &listen])
    }
}

#[test]
fn a_notifier_whose_progress_is_damaged_at_the_start_waits_alone_and_misses_nothing() {
    for how in DAMAGES {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        let all = Damaged::new(&server);
        // An incident whose end has yet to come, and a collector that stops.
        let collector = all.start();
        let start = now();
        send(redis, "inlet-R1-1", start, "33.0");
        wait("the first incident", || {
            has(&all.webhook, "inlet-R1-1", "opened")
        });
        wait("it is remembered", || {
            let keys: Vec<String> = redis.hkeys(WEBHOOK).ok()?;
            keys.iter()
                .any(|key| key.starts_with("begun:"))
                .then_some(())
        });
        drop(collector);
        damage(redis, WEBHOOK, how);
        let collector = all.start();
        wait("the log names the key", || {
            collector.stderr().contains(WEBHOOK).then_some(())
        });
        write(redis, &[incident(9, 1)]);
        wait("the other notifier gets on", || {
            (chats(&all.chat, "inlet-R9-1") > 0).then_some(())
        });
        wait("ready", || {
            let ready = http_get(all.port, "/readyz");
            ready.is_ok_and(|(code, _)| code == 200).then_some(())
        });
        assert!(has(&all.webhook, "inlet-R9-1", "opened").is_none());
        // An incident whose beginning was sent ends meanwhile.
        send(redis, "inlet-R1-1", start + 2000, "24.0");
        wait("its end", || {
            (chats(&all.chat, "inlet-R1-1") > 1).then_some(())
        });
        // Without its configuration too.
        let (code, status, _) = command(&server.url(), &["status"]);
        assert_eq!(code, Some(1), "{status}");
        assert!(status.contains(WEBHOOK), "{status}");
        assert!(status.contains("Rackwatch makes"), "{status}");

        match how {
            [field_command, field, _] if *field_command == "HSET" => {
                let () = redis.hdel(WEBHOOK, *field).unwrap();
            }
            _ => redis.del(WEBHOOK).unwrap(),
        }
        wait("what waited", || has(&all.webhook, "inlet-R9-1", "opened"));
        wait("the end of the first", || {
            has(&all.webhook, "inlet-R1-1", "resolved")
        });
        let alive = http_get(all.port, "/healthz");
        assert!(alive.is_ok(), "{}", collector.stderr());
        wait("status is well again", || {
            let (_, status, _) = command(&server.url(), &["status"]);
            (!status.contains(WEBHOOK)).then_some(())
        });
    }
}

#[test]
fn a_notifier_whose_progress_is_damaged_while_it_runs_goes_on_without_a_restart() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let all = Damaged::new(&server);
    let collector = all.start();
    wait_ready(redis, "webhook");
    wait_ready(redis, "slack");
    damage(redis, WEBHOOK, DAMAGES[0]);
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait("the log names the key", || {
        collector.stderr().contains(WEBHOOK).then_some(())
    });
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("the other notifier has the end", || {
        (chats(&all.chat, "inlet-R1-1") > 1).then_some(())
    });
    assert!(has(&all.webhook, "inlet-R1-1", "resolved").is_none());
    let () = redis.del(WEBHOOK).unwrap();
    wait("the end", || has(&all.webhook, "inlet-R1-1", "resolved"));
    let last: redis::streams::StreamRangeReply = redis
        .xrevrange_count("rackwatch:incidents", "+", "-", 1)
        .unwrap();
    wait("the position is written again", || {
        let position: Option<String> = redis.hget(WEBHOOK, "position").ok()?;
        (position.as_ref() == Some(&last.ids[0].id)).then_some(())
    });
    let opened = received(&all.webhook);
    let opened = opened.iter().filter(|(_, event)| event == "opened");
    assert_eq!(opened.count(), 1, "nothing is sent twice");
}

#[test]
fn a_damaged_notifier_is_reported_through_the_others_and_again_when_it_goes_on() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let all = Damaged::new(&server);
    damage(redis, WEBHOOK, DAMAGES[0]);
    // It was damaged six minutes ago, under another leader.
    let since = now() - 6 * 60_000;
    let published = format!(
        "{{\"v\":1,\"notifier\":\"webhook\",\"failing_since_ms\":{since},\"reason\":\"damaged\"}}"
    );
    let () = redis
        .hset("{rackwatch:incidents}:notifiers", "webhook", published)
        .unwrap();
    let _collector = all.start();
    let report = "has delivered nothing for 6m";
    wait("the report", || {
        (chats(&all.chat, report) == 1).then_some(())
    });
    assert_eq!(chats(&all.chat, "delivery:webhook is a string"), 1);
    let () = redis.del(WEBHOOK).unwrap();
    wait("the recovery", || {
        (chats(&all.chat, "delivers again") == 1).then_some(())
    });
    wait("the recovery is remembered", || {
        (!redis.hexists::<_, _, bool>(CHAT, "reported:webhook").ok()?).then_some(())
    });
}

#[test]
fn one_recipient_whose_progress_is_damaged_keeps_no_mail_from_the_others() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let smtp = rackwatch_testing::SmtpReceiver::start().unwrap();
    let ops = "{rackwatch:incidents}:delivery:email:ops@example.org";
    damage(redis, ops, DAMAGES[0]);
    let notifying = Notifying::new(&server.url(), &mail(smtp.port()));
    let _collector = notifying.start();
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait("the mail to Ann", || smtp.mails_to("ann@example.org").pop());
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("the end to Ann", || {
        (smtp.mails_to("ann@example.org").len() == 2).then_some(())
    });
    assert_eq!(smtp.mails_to("ops@example.org").len(), 0);
    let () = redis.del(ops).unwrap();
    wait("both mails to ops", || {
        (smtp.mails_to("ops@example.org").len() == 2).then_some(())
    });
}

#[test]
fn garbage_in_other_fields_of_a_progress_stops_nothing() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let all = Damaged::new(&server);
    let garbage: &[u8] = b"\xff\xfe\n";
    for field in [
        "failing_since",
        "failing_reason",
        "begun:x",
        "waiting:x",
        "reported:slack",
    ] {
        let () = redis.hset(WEBHOOK, field, garbage).unwrap();
    }
    let () = redis.hset(WEBHOOK, garbage, garbage).unwrap();
    // An id that no entry can have.
    let () = redis.hset(CHAT, "position", "99999999999999-0").unwrap();
    let _collector = all.start();
    wait_ready(redis, "webhook");
    wait_ready(redis, "slack");
    send(redis, "inlet-R1-1", now(), "33.0");
    wait("the webhook", || has(&all.webhook, "inlet-R1-1", "opened"));
    wait("the chat", || {
        (chats(&all.chat, "inlet-R1-1") > 0).then_some(())
    });
}
