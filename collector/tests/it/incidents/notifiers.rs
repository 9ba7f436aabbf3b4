//! Notifiers of all types with receivers that are down, fail, hang, or ask for a pause; a real Alertmanager; mail.

use std::fs;

use rackwatch_testing::{
    Alertmanager, Answer, Certificates, RedisServer, SmtpReceiver, WebhookReceiver,
};
use redis::Commands;
use serde_json::Value;

use super::notifying::{Notifying, delivery_log, mail, notifier, wait};
use super::{now, wait_notified};
use crate::rig::{DEADLINE, connect, send};

#[test]
fn a_failing_receiver_delays_no_other_and_loses_nothing() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let kinds = ["webhook", "slack", "pagerduty", "alertmanager"];
    let receivers = kinds.map(|_| WebhookReceiver::start(0).unwrap());
    let smtp = SmtpReceiver::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "hunter2-routing-key\n").unwrap();
    let key = format!("key_file = \"{}\"", key.display());
    let mut text = mail(smtp.port());
    for (kind, receiver) in kinds.iter().zip(&receivers) {
        let more = if *kind == "pagerduty" {
            key.as_str()
        } else {
            ""
        };
        text += &notifier(kind, &format!("url = \"{}\"\n{more}", receiver.url()));
    }
    let [webhook, slack, pagerduty, alertmanager] = &receivers;
    webhook.answer(Answer::Hang);
    pagerduty.answer(Answer::Status(500));
    alertmanager.answer(Answer::TooMany(1));
    smtp.answer("451 later");
    let notifying = Notifying::new(&server.url(), &text);
    let collector = notifying.start();
    send(redis, "inlet-R1-1", now(), "33.0");
    wait_notified(redis, &[("opened", "critical")]);

    // A healthy receiver gets its notification although the others fail.
    let well = wait("the chat message", || slack.requests().first().cloned());
    let message: Value = serde_json::from_str(&well.body).unwrap();
    assert_eq!(
        message["text"],
        "CRITICAL: too hot: sensor inlet-R1-1 in R1"
    );
    let link = message["attachments"][0]["title_link"].as_str().unwrap();
    assert!(
        link.starts_with("https://rackwatch.example.org/#/incident/"),
        "{link}"
    );
    let notification = well.headers["idempotency-key"].clone();
    for (kind, receiver) in kinds.iter().zip(&receivers) {
        let least = if *kind == "slack" { 1 } else { 3 };
        wait(kind, || (receiver.requests().len() >= least).then_some(()));
    }
    wait("more attempts to send mail", || {
        (smtp.mails().len() >= 6).then_some(())
    });
    wait("the delivery log", || {
        let states = delivery_log(redis);
        let of = |notifier: &str| {
            states
                .get(&(notifier.to_owned(), notification.clone()))
                .cloned()
        };
        let failing = ["webhook", "pagerduty", "alertmanager", "email"];
        let retrying = failing
            .iter()
            .all(|notifier| of(notifier).as_deref() == Some("retrying"));
        (retrying && of("slack").as_deref() == Some("sent")).then_some(())
    });

    for receiver in &receivers {
        receiver.answer(Answer::Status(200));
    }
    smtp.answer("250 taken");
    wait("all deliveries", || {
        let states = delivery_log(redis);
        let delivered = states
            .values()
            .filter(|state| ["sent", "confirmed"].contains(&state.as_str()));
        (delivered.count() == 5).then_some(())
    });
    for (kind, receiver) in kinds.iter().zip(&receivers) {
        let requests = receiver.requests();
        let mut keys: Vec<_> = requests.iter().map(key_of).collect();
        keys.dedup();
        assert_eq!(keys.len(), 1, "{kind}: all attempts have one key: {keys:?}");
    }
    let mut ids: Vec<_> = smtp
        .mails()
        .iter()
        .map(|(mail, _)| header(mail, "Message-ID"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(
        !collector.stderr().contains("hunter2"),
        "{}",
        collector.stderr()
    );
}

/// Returns the deduplication key of a request.
fn key_of(request: &rackwatch_testing::Request) -> String {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    match (&body["dedup_key"], &body[0]["labels"]["incident"]) {
        (Value::String(key), _) | (_, Value::String(key)) => key.clone(),
        _ => request.headers["idempotency-key"].clone(),
    }
}

fn header(mail: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let mut lines = mail.lines();
    let line = lines.find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{name} in {mail}"))
        .to_owned()
}

#[test]
fn pagerduty_and_mail_report_the_beginning_and_the_end() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let receiver = WebhookReceiver::start(0).unwrap();
    let smtp = SmtpReceiver::start().unwrap();
    let notifying = Notifying::new(&server.url(), "");
    let key = notifying.folder.path().join("key");
    let more = format!(
        "url = \"{}\"\nkey_file = \"{}\"",
        receiver.url(),
        key.display()
    );
    let text = mail(smtp.port()) + &notifier("pagerduty", &more);
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    let start = now();
    send(redis, "inlet-R1-1", start, "33.0");
    wait("the first notification", || {
        (receiver.requests().len() == 1 && smtp.mails_to("ann@example.org").len() == 1)
            .then_some(())
    });
    let incident: Vec<String> = redis.hkeys("{rackwatch:incidents}:open").unwrap();
    let mut ack = notifying.run(&["ack", &incident[0], "--by", "ann"]);
    assert_eq!(ack.wait_exit(DEADLINE).unwrap().code(), Some(0));
    wait("the acknowledgement", || {
        (receiver.requests().len() == 2).then_some(())
    });
    send(redis, "inlet-R1-1", start + 1000, "24.0");
    wait("the end", || {
        (receiver.requests().len() == 3 && smtp.mails_to("ann@example.org").len() == 2)
            .then_some(())
    });
    let events: Vec<Value> = receiver
        .requests()
        .iter()
        .map(|r| serde_json::from_str(&r.body).unwrap())
        .collect();
    assert_eq!(events[0]["routing_key"], "hunter2-routing-key");
    assert_eq!(events[0]["event_action"], "trigger");
    assert_eq!(events[0]["payload"]["severity"], "critical");
    assert_eq!(events[0]["payload"]["group"], "R1");
    assert_eq!(events[1]["event_action"], "acknowledge");
    assert_eq!(events[2]["event_action"], "resolve");
    assert!(
        events
            .iter()
            .all(|event| event["dedup_key"] == events[0]["dedup_key"])
    );
    let mails = smtp.mails_to("ann@example.org");
    let subjects: Vec<_> = mails.iter().map(|mail| header(mail, "Subject")).collect();
    assert_eq!(
        subjects[0],
        "[rackwatch] critical: too hot: sensor inlet-R1-1 in R1"
    );
    assert_eq!(
        subjects[1],
        "[rackwatch] resolved: too hot: sensor inlet-R1-1 in R1"
    );
    let threads: Vec<_> = mails
        .iter()
        .map(|mail| header(mail, "In-Reply-To"))
        .collect();
    assert_eq!(threads[0], threads[1]);
    assert!(
        mails[0].contains("rackwatch-collector ack")
            && !mails[1].contains("rackwatch-collector ack"),
        "{}",
        mails[0]
    );
}

#[test]
fn alertmanager_groups_and_ends_incidents() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let alertmanager = Alertmanager::start().unwrap();
    let text = notifier("alertmanager", &format!("url = \"{}\"", alertmanager.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    let start = now();
    // Close together: a spike would stay for a while.
    send(redis, "inlet-R1-1", start, "31.0");
    let firing = |alertmanager: &Alertmanager| -> Vec<Value> {
        let text = alertmanager.get("/api/v2/alerts?active=true").unwrap();
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        all
    };
    // A warning waits for related alerts.
    let warning = wait("an active alert", || firing(&alertmanager).pop());
    assert_eq!(warning["labels"]["severity"], "warning");
    assert_eq!(warning["annotations"]["cause"], "sensor inlet-R1-1");
    send(redis, "inlet-R1-1", start + 1000, "32.5");
    let critical = wait("only the critical alert is active", || {
        let all = firing(&alertmanager);
        let is_critical = all.len() == 1 && all[0]["labels"]["severity"] == "critical";
        is_critical.then(|| all[0].clone())
    });
    assert_eq!(
        critical["labels"]["incident"],
        warning["labels"]["incident"]
    );
    let groups: Value =
        serde_json::from_str(&alertmanager.get("/api/v2/alerts/groups").unwrap()).unwrap();
    assert_eq!(groups[0]["labels"]["severity"], "critical");
    // The incident grows: the suspected cause changes, and the alert stays the same.
    send(redis, "inlet-R1-2", start + 1500, "33.0");
    wait("the growth of the incident", || {
        let grown = super::records(redis).pop()?;
        grown.3.contains("2 sensors").then_some(())
    });
    send(redis, "inlet-R1-2", start + 2000, "24.0");
    send(redis, "inlet-R1-1", start + 2000, "24.0");
    wait("the end of the alert", || {
        firing(&alertmanager).is_empty().then_some(())
    });
}

/// Alertmanager rejects an alert that ends before it starts.
#[test]
fn an_incident_of_a_clock_that_is_ahead_begins_and_ends_in_alertmanager() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let alertmanager = Alertmanager::start().unwrap();
    let text = notifier("alertmanager", &format!("url = \"{}\"", alertmanager.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let collector = notifying.start();
    let ahead = now() + 50_000;
    send(redis, "inlet-R1-1", ahead, "33.0");
    let all = |filter: &str| -> Vec<Value> {
        let path = format!("/api/v2/alerts?{filter}");
        serde_json::from_str(&alertmanager.get(&path).unwrap()).unwrap()
    };
    let alert = wait("an active alert", || all("active=true").pop());
    let starts = alert["startsAt"].as_str().unwrap();
    let starts: jiff::Timestamp = starts.parse().unwrap();
    assert!(starts.as_millisecond() <= i64::try_from(now()).unwrap());
    send(redis, "inlet-R1-1", ahead + 1000, "24.0");
    wait("the end of the alert", || {
        all("active=true").is_empty().then_some(())
    });
    let stderr = collector.stderr();
    assert!(!stderr.contains("rejected a notification"), "{stderr}");
}

#[test]
fn a_restarted_alertmanager_gets_open_incidents_again() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let mut alertmanager = Alertmanager::start().unwrap();
    let settings = format!("url = \"{}\"\nrepeat = \"1s\"", alertmanager.url());
    let notifying = Notifying::new(&server.url(), &notifier("alertmanager", &settings));
    let collector = notifying.start();
    send(redis, "inlet-R1-1", now(), "33.0");
    let fires = |alertmanager: &Alertmanager| {
        let text = alertmanager.get("/api/v2/alerts?active=true").ok()?;
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        Some(all.first()?["labels"]["incident"].as_str()?.to_owned())
    };
    let incident = wait("an active alert", || fires(&alertmanager));
    alertmanager.restart().unwrap();
    assert_eq!(
        wait("the alert after the restart", || fires(&alertmanager)),
        incident
    );
    // A restarted collector repeats them too.
    drop(collector);
    let _collector = notifying.start();
    alertmanager.restart().unwrap();
    assert_eq!(
        wait("the alert after both restarts", || fires(&alertmanager)),
        incident
    );
    let logged: Vec<_> = delivery_log(redis).into_iter().collect();
    assert_eq!(logged.len(), 1, "a repeat is not a delivery: {logged:?}");
}

#[test]
fn routes_select_the_notifiers() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let [all, some] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
    let text = notifier("slack", &format!("url = \"{}\"", all.url()))
        + &notifier(
            "webhook",
            &format!(
                "url = \"{}\"\n[[notify.routes]]\nracks = [\"R2\"]\nseverity = \"critical\"",
                some.url()
            ),
        );
    let notifying = Notifying::new(&server.url(), &text);
    let _collector = notifying.start();
    send(redis, "inlet-R1-1", now(), "33.0");
    wait("the first chat message", || {
        (all.requests().len() == 1).then_some(())
    });
    wait("the skipped delivery", || {
        let states = delivery_log(redis).into_iter();
        let mut skipped =
            states.filter(|((notifier, _), state)| notifier == "webhook" && state == "skipped");
        skipped.next().map(drop)
    });
    assert_eq!(some.requests().len(), 0);
    // Too cold and too hot are separate incidents.
    send(redis, "inlet-R2-1", now(), "8.0");
    wait("a message to both", || {
        (all.requests().len() == 2 && some.requests().len() == 1).then_some(())
    });
}

#[test]
fn notify_test_reports_the_outcome_of_each_notifier() {
    let server = RedisServer::start().unwrap();
    let receiver = WebhookReceiver::start(0).unwrap();
    let smtp = SmtpReceiver::start().unwrap();
    let text = mail(smtp.port()) + &notifier("slack", &format!("url = \"{}\"", receiver.url()));
    let notifying = Notifying::new(&server.url(), &text);
    let mut test = notifying.run(&["notify", "test"]);
    assert_eq!(
        test.wait_exit(DEADLINE).unwrap().code(),
        Some(0),
        "{}",
        test.stderr()
    );
    assert_eq!(
        test.stdout(),
        "email to ops@example.org delivered\nemail to ann@example.org delivered\nslack            delivered\n"
    );
    assert!(receiver.requests()[0].body.contains("Rackwatch test by"));
    receiver.answer(Answer::Status(403));
    let mut test = notifying.run(&["notify", "test", "slack"]);
    assert_eq!(test.wait_exit(DEADLINE).unwrap().code(), Some(1));
    assert_eq!(
        test.stdout(),
        "slack            failed: receiver answered 403 Forbidden\n"
    );
    let mut test = notifying.run(&["notify", "test", "unknown"]);
    assert_eq!(test.wait_exit(DEADLINE).unwrap().code(), Some(2));
}

#[test]
fn a_webhook_by_https_needs_a_trusted_certificate() {
    let server = RedisServer::start().unwrap();
    let certificates = Certificates::create().unwrap();
    let receiver = WebhookReceiver::start_tls(&certificates).unwrap();
    let hook = |more: &str| {
        let all = format!("url = \"{}\"\n{more}", receiver.url());
        Notifying::new(&server.url(), &notifier("webhook", &all))
    };
    let site = hook("");
    let mut distrusts = site.run(&["notify", "test"]);
    assert_eq!(distrusts.wait_exit(DEADLINE).unwrap().code(), Some(1));
    let output = distrusts.stdout();
    assert!(output.contains("certificate"), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
    assert_eq!(receiver.requests().len(), 0);
    let site = hook(&format!("ca_file = \"{}\"", certificates.ca().display()));
    let mut trusts = site.run(&["notify", "test"]);
    assert!(trusts.wait_exit(DEADLINE).unwrap().success());
    assert_eq!(receiver.requests().len(), 1);
}

/// By TLS from the first byte, and by STARTTLS: the certificate is checked before the password is sent.
#[test]
fn mail_by_tls_needs_a_trusted_certificate() {
    let server = RedisServer::start().unwrap();
    let certificates = Certificates::create().unwrap();
    let secret = tempfile::tempdir().unwrap();
    let password = secret.path().join("password");
    fs::write(&password, "hunter2-mail\n").unwrap();
    for (encryption, smtp) in [
        ("tls", SmtpReceiver::start_tls(&certificates).unwrap()),
        (
            "starttls",
            SmtpReceiver::start_starttls(&certificates).unwrap(),
        ),
    ] {
        let mail = |more: &str| {
            let all = format!(
                "host = \"localhost\"\nport = {}\nencryption = \"{encryption}\"\nfrom = \"rackwatch@example.org\"\n\
                 to = [\"ops@example.org\"]\nuser = \"rack\"\npassword_file = \"{}\"\n{more}",
                smtp.port(),
                password.display()
            );
            Notifying::new(&server.url(), &notifier("email", &all))
        };
        let site = mail("");
        let mut distrusts = site.run(&["notify", "test"]);
        let ended = distrusts.wait_exit(DEADLINE).unwrap();
        assert_eq!(ended.code(), Some(1), "{}", distrusts.stderr());
        let output = distrusts.stdout() + &distrusts.stderr();
        assert!(output.contains("certificate"), "{output}");
        assert!(!output.contains("hunter2"), "{output}");
        assert_eq!((smtp.logins(), smtp.mails()), (Vec::new(), Vec::new()));

        let authority = format!("ca_file = \"{}\"", certificates.ca().display());
        let site = mail(&authority);
        let mut trusts = site.run(&["notify", "test"]);
        let ended = trusts.wait_exit(DEADLINE).unwrap();
        let output = trusts.stdout() + &trusts.stderr();
        assert!(ended.success(), "{encryption}: {output}");
        // RFC 4616: NUL, the user, NUL and the password, in base64.
        assert_eq!(smtp.logins(), ["PLAIN AHJhY2sAaHVudGVyMi1tYWls"]);
        assert_eq!(smtp.mails().len(), 1);
    }
}

#[test]
fn an_outside_monitor_gets_heartbeats_while_everything_works() {
    let server = RedisServer::start().unwrap();
    let receiver = WebhookReceiver::start(0).unwrap();
    let notifying = Notifying::new(
        &server.url(),
        &format!(
            "[heartbeat]\nurl = \"{}\"\nevery = \"1s\"\n",
            receiver.url()
        ),
    );
    let collector = notifying.start();
    wait("three heartbeats", || {
        (receiver.requests().len() >= 3).then_some(())
    });
    assert!(
        !collector.stderr().contains("hunter2"),
        "{}",
        collector.stderr()
    );
}

#[test]
fn a_wrong_notifier_fails_the_start() {
    let server = RedisServer::start().unwrap();
    for (text, why) in [
        (
            notifier("slack", ""),
            "missing key notify[0].url of \"slack\"",
        ),
        (
            notifier("pagerduty", ""),
            "missing key notify[0].key_file of \"pagerduty\"",
        ),
        (
            notifier("email", "host = \"localhost\"\nfrom = \"a@example.org\""),
            "missing key notify[0].to of \"email\"",
        ),
        (
            notifier(
                "email",
                "host = \"localhost\"\nfrom = \"ops\"\nto = [\"a@example.org\"]",
            ),
            "is not a valid email address",
        ),
        (
            notifier(
                "email",
                "host = \"localhost\"\nencryption = \"none\"\nuser = \"a\"\npassword_file = \"/nowhere\"\nfrom = \"a@example.org\"\nto = [\"a@example.org\"]",
            ),
            "passwords are never sent",
        ),
        (
            notifier(
                "slack",
                "url = \"http://localhost\"\n[[notify.routes]]\nhours = \"always\"",
            ),
            "routes[0].hours",
        ),
    ] {
        let notifying = Notifying::new(&server.url(), &text);
        let mut collector = notifying.start();
        let code = collector.wait_exit(DEADLINE).unwrap().code();
        assert_eq!(code, Some(2), "{why}: {}", collector.stderr());
        let mut check = notifying.run(&["check"]);
        assert_eq!(check.wait_exit(DEADLINE).unwrap().code(), Some(2));
        assert!(check.stderr().contains(why), "{why}: {}", check.stderr());
        assert!(
            collector.stderr().contains(why),
            "{why}: {}",
            collector.stderr()
        );
    }
}
