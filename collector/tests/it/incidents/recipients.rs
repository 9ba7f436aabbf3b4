//! Mail to several recipients: each has its own progress, and only a refused content ends the attempts.

use rackwatch_testing::{RedisServer, SmtpReceiver, wait_until_sync};
use redis::{Commands, Connection};
use serde_json::Value;

use super::notifying::{Notifying, incident, mail, wait, write};
use super::now;
use crate::rig::{DEADLINE, connect, send};

const OPS: &str = "ops@example.org";
const ANN: &str = "ann@example.org";

/// Returns the newest state and reason of each delivery to a recipient, by the event.
fn state_of(redis: &mut Connection, recipient: &str) -> Option<(String, String)> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("rackwatch:deliveries").unwrap();
    let entries = all.ids.iter().rev();
    let mut deliveries = entries.filter_map(|entry| {
        let json: String = entry.get("delivery")?;
        serde_json::from_str::<Value>(&json).ok()
    });
    let delivery = deliveries.find(|delivery| delivery["recipient"] == recipient)?;
    let text = |name: &str| delivery[name].as_str().unwrap_or_default().to_owned();
    Some((text("state"), text("reason")))
}

fn wait_state(redis: &mut Connection, recipient: &str, state: &str, reason: &str) {
    let is_so = |(now, why): &(String, String)| now == state && why.contains(reason);
    let reached = wait_until_sync(DEADLINE, reason, || {
        state_of(redis, recipient).filter(is_so)
    });
    assert!(
        reached.is_ok(),
        "{recipient} is {:?}, not {state}: {reason}",
        state_of(redis, recipient)
    );
}

/// Returns the key of a recipient's progress.
fn progress(recipient: &str) -> String {
    format!("{{rackwatch:incidents}}:delivery:email:{recipient}")
}

fn message_id(mail: &str) -> String {
    let mut lines = mail.lines();
    let line = lines.find_map(|line| line.strip_prefix("Message-ID: "));
    line.unwrap().to_owned()
}

#[test]
fn a_refused_recipient_keeps_no_mail_from_the_others() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let smtp = SmtpReceiver::start().unwrap();
    smtp.refuse(&format!("RCPT TO:<{OPS}>"), "550 no such user");
    let notifying = Notifying::new(&server.url(), &mail(smtp.port()));
    let collector = notifying.start();
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait("the mail to Ann", || smtp.mails_to(ANN).pop());
    wait_state(redis, ANN, "sent", "");
    wait_state(redis, OPS, "retrying", "no such user");
    // The next one does not wait for the refused recipient either.
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("the end to Ann", || {
        (smtp.mails_to(ANN).len() == 2).then_some(())
    });
    assert_eq!(smtp.mails_to(OPS).len(), 0);
    wait("Ann's position at the end", || {
        let position: String = redis.hget(progress(ANN), "position").ok()?;
        let last: redis::streams::StreamRangeReply = redis
            .xrevrange_count("rackwatch:incidents", "+", "-", 1)
            .ok()?;
        (last.ids.first()?.id == position).then_some(())
    });

    // A restart repeats nothing that has arrived.
    drop(collector);
    let _collector = notifying.start();
    smtp.refuse_nothing();
    wait("both mails to ops", || {
        (smtp.mails_to(OPS).len() == 2).then_some(())
    });
    wait_state(redis, OPS, "sent", "");
    let ids = |to: &str| -> Vec<String> {
        let mails = smtp.mails_to(to);
        mails.iter().map(|mail| message_id(mail)).collect()
    };
    assert_eq!(ids(OPS), ids(ANN));
}

#[test]
fn only_a_refused_content_ends_the_attempts_to_send_a_mail() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let smtp = SmtpReceiver::start().unwrap();
    let notifying = Notifying::new(&server.url(), &mail(smtp.port()));
    let _collector = notifying.start();
    for recipient in [ANN, OPS] {
        // The group is there with the first of them.
        wait("its position", || {
            let is_there: bool = redis.hexists(progress(recipient), "position").ok()?;
            is_there.then_some(())
        });
    }
    for (n, command) in ["EHLO", "MAIL", "RCPT", "DATA"].into_iter().enumerate() {
        let reason = format!("no {command} today");
        smtp.refuse(command, &format!("554 {reason}"));
        write(redis, &[incident(u32::try_from(n).unwrap(), 1)]);
        for recipient in [ANN, OPS] {
            wait_state(redis, recipient, "retrying", &reason);
        }
        smtp.refuse_nothing();
        for recipient in [ANN, OPS] {
            wait(command, || {
                (smtp.mails_to(recipient).len() == n + 1).then_some(())
            });
        }
    }
    smtp.answer("554 looks like spam");
    write(redis, &[incident(4, 1)]);
    for recipient in [ANN, OPS] {
        wait_state(redis, recipient, "failed", "looks like spam");
    }
}

#[test]
fn a_recipient_that_fails_for_an_hour_counts_as_failed_and_is_tried_on() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let smtp = SmtpReceiver::start().unwrap();
    smtp.refuse(&format!("RCPT TO:<{OPS}>"), "550 no such user");
    let notifying = Notifying::new(&server.url(), &mail(smtp.port()));
    let collector = notifying.start();
    send(redis, "inlet-R1-1", now(), "33.0");
    wait_state(redis, OPS, "retrying", "no such user");
    drop(collector);
    let long_ago = now() - 3_600_000;
    let () = redis
        .hset(progress(OPS), "failing_since", long_ago)
        .unwrap();
    let _collector = notifying.start();
    wait_state(redis, OPS, "failed", "no such user");
    wait_state(redis, ANN, "sent", "");
    smtp.refuse_nothing();
    wait("the mail to ops", || smtp.mails_to(OPS).pop());
    wait_state(redis, OPS, "sent", "");
}
