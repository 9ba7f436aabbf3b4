//! Files with secrets that are gone when a collector becomes the leader: one notifier waits for its own, and nothing else does.

use std::fs;
use std::path::{Path, PathBuf};

use rackwatch_testing::{Program, RedisServer, WebhookReceiver, free_port};
use serde_json::Value;
use tempfile::TempDir;

use super::command;
use super::notifying::{Notifying, incident, notifier, wait, wait_ready, write};
use crate::rig::connect;

/// Returns the number of requests whose body contains `text`.
fn count(receiver: &WebhookReceiver, text: &str) -> usize {
    let requests = receiver.requests();
    let bodies = requests.iter().map(|request| &request.body);
    bodies.filter(|body| body.contains(text)).count()
}

/// Starts a second collector, takes `file` away, and ends the first: the second leads without the file.
fn lead_without(notifying: &Notifying, file: &Path, take: impl Fn(&Path)) -> Program {
    let first = notifying.start();
    wait("the first leads", || {
        let leads = first.stderr();
        leads.contains("partition taken over").then_some(())
    });
    let second = notifying.start();
    wait("the second has its configuration", || {
        let listens = second.stderr();
        listens.contains("dashboard listening").then_some(())
    });
    take(file);
    drop(first);
    second
}

/// Ways in which a file becomes useless.
const WAYS: [fn(&Path); 3] = [
    |file| fs::remove_file(file).unwrap(),
    // Not readable, not even for root.
    |file| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    },
    |file| fs::write(file, "\n").unwrap(),
];

/// A webhook whose address is in a file, beside a chat.
struct Secret {
    webhook: WebhookReceiver,
    chat: WebhookReceiver,
    file: PathBuf,
    notifying: Notifying,
    _folder: TempDir,
}

impl Secret {
    fn new(server: &RedisServer) -> Self {
        let [webhook, chat] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("address");
        let text = notifier("slack", &format!("url = \"{}\"", chat.url()))
            + &notifier("webhook", &format!("url_file = \"{}\"", file.display()));
        let notifying = Notifying::new(&server.url(), &text);
        let all = Self {
            webhook,
            chat,
            file,
            notifying,
            _folder: folder,
        };
        all.put_back();
        all
    }

    fn put_back(&self) {
        // Either may be there, or none.
        fs::remove_dir(&self.file).ok();
        fs::write(&self.file, self.webhook.url()).unwrap();
    }
}

#[test]
fn a_notifier_whose_secret_is_gone_at_the_start_of_a_term_waits_alone() {
    for take in WAYS {
        let server = RedisServer::start().unwrap();
        let redis = &mut connect(&server.url());
        let all = Secret::new(&server);
        let collector = lead_without(&all.notifying, &all.file, take);
        wait("the log names the file", || {
            let log = collector.stderr();
            (log.contains("this notifier waits") && log.contains("address")).then_some(())
        });
        wait_ready(redis, "slack");
        wait_ready(redis, "webhook");
        write(redis, &[incident(9, 1)]);
        wait("the other notifier gets on", || {
            (count(&all.chat, "inlet-R9-1") > 0).then_some(())
        });
        assert_eq!(count(&all.webhook, "inlet-R9-1"), 0);
        let expected = "notifier \"webhook\" has delivered nothing for ";
        let status = wait("status names the notifier", || {
            let (code, status, _) = command(&server.url(), &["status"]);
            (code == Some(1) && status.contains(expected)).then_some(status)
        });
        assert!(status.contains("address"), "{status}");
        all.put_back();
        wait("what waited", || {
            (count(&all.webhook, "inlet-R9-1") > 0).then_some(())
        });
        wait("status is well again", || {
            let (_, status, _) = command(&server.url(), &["status"]);
            (!status.contains(expected)).then_some(())
        });
    }
}

#[test]
fn a_notifier_whose_secret_is_gone_is_reported_through_the_others() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let all = Secret::new(&server);
    // It has waited for six minutes, under another leader.
    let since = super::now() - 6 * 60_000;
    let published = format!(
        "{{\"v\":1,\"notifier\":\"webhook\",\"failing_since_ms\":{since},\"reason\":\"no file\"}}"
    );
    let _collector = lead_without(&all.notifying, &all.file, |file| {
        let field = redis::cmd("HSET")
            .arg("{rackwatch:incidents}:notifiers")
            .arg("webhook")
            .arg(&published)
            .to_owned();
        field.exec(&mut connect(&server.url())).unwrap();
        fs::remove_file(file).unwrap();
    });
    let texts = || {
        let requests = all.chat.requests().into_iter();
        let texts = requests.map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["text"].as_str().unwrap_or_default().to_owned()
        });
        texts.collect::<Vec<_>>()
    };
    let report = wait("the report", || {
        texts()
            .into_iter()
            .find(|text| text.contains("has delivered nothing for 6m"))
    });
    assert!(report.contains("address"), "{report}");
    all.put_back();
    wait("the recovery", || {
        let mut texts = texts().into_iter();
        texts
            .any(|text| text.contains("delivers again"))
            .then_some(())
    });
    wait_ready(redis, "webhook");
}

#[test]
fn a_heartbeat_whose_address_is_gone_at_the_start_of_a_term_stops_nothing_else() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let [monitor, chat] = [(); 2].map(|()| WebhookReceiver::start(0).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("beat");
    let text = notifier("slack", &format!("url = \"{}\"", chat.url()))
        + &format!(
            "[heartbeat]\nurl_file = \"{}\"\nevery = \"1s\"\n",
            file.display()
        );
    let notifying = Notifying::new(&server.url(), &text);
    fs::write(&file, monitor.url()).unwrap();
    let collector = lead_without(&notifying, &file, WAYS[0]);
    wait("the log names the file", || {
        let log = collector.stderr();
        (log.contains("heartbeat waits") && log.contains("beat")).then_some(())
    });
    wait_ready(redis, "slack");
    write(redis, &[incident(9, 1)]);
    wait("notifications go on", || {
        (count(&chat, "inlet-R9-1") > 0).then_some(())
    });
    let before = monitor.requests().len();
    fs::write(&file, monitor.url()).unwrap();
    wait("a beat", || {
        (monitor.requests().len() > before).then_some(())
    });
}

#[test]
fn a_secret_that_is_missing_at_the_very_start_is_a_configuration_error() {
    let server = RedisServer::start().unwrap();
    for more in [
        notifier("webhook", "url_file = \"none\""),
        "[heartbeat]\nurl_file = \"none\"\n".to_owned(),
    ] {
        let notifying = Notifying::new(&server.url(), &more);
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let mut collector = notifying.run(&["run", "--listen", &listen]);
        let code = collector.wait_exit(crate::rig::DEADLINE).unwrap().code();
        assert_eq!(code, Some(2), "{}", collector.stderr());
        assert!(collector.stderr().contains("none"));
    }
}
