//! Mail with OAuth 2.0: tokens from a file and from a token endpoint, replaced when they expire or are refused.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rackwatch_testing::{
    Answer, Certificates, Program, RedisServer, SmtpReceiver, WebhookReceiver,
};

use super::notifying::{Notifying, incident, notifier, wait, wait_ready, write};
use crate::rig::{DEADLINE, connect};

const TO: &str = "ops@example.org";

/// A mail server with TLS, a token endpoint, and a folder for secrets.
struct Provider {
    smtp: SmtpReceiver,
    endpoint: WebhookReceiver,
    certificates: Certificates,
    folder: tempfile::TempDir,
}

impl Provider {
    fn start() -> Self {
        let certificates = Certificates::create().unwrap();
        let provider = Self {
            smtp: SmtpReceiver::start_starttls(&certificates).unwrap(),
            endpoint: WebhookReceiver::start(0).unwrap(),
            certificates,
            folder: tempfile::tempdir().unwrap(),
        };
        provider.write("secret", "hunter2-secret");
        provider.write("refresh", "hunter2-refresh");
        provider
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        path.display().to_string()
    }

    /// Returns a key whose value is the path of a secret.
    fn file(&self, key: &str, name: &str) -> String {
        let path = self.folder.path().join(name);
        format!("{key} = \"{}\"\n", path.display())
    }

    /// Returns a `[[notify]]` with additional keys.
    fn notifier(&self, more: &str) -> String {
        let all = format!(
            "host = \"localhost\"\nport = {}\nca_file = \"{}\"\nfrom = \"rackwatch@example.org\"\n\
             to = [\"{TO}\"]\nuser = \"rack@example.org\"\n{more}",
            self.smtp.port(),
            self.certificates.ca().display(),
        );
        notifier("email", &all)
    }

    /// Returns the keys of a grant with a refresh token.
    fn grant(&self) -> String {
        format!(
            "oauth_token_url = \"{}\"\noauth_client_id = \"rackwatch\"\n{}{}",
            self.endpoint.url(),
            self.file("oauth_client_secret_file", "secret"),
            self.file("oauth_refresh_token_file", "refresh")
        )
    }
}

/// Returns the argument of `AUTH` for an access token.
fn login(token: &str) -> String {
    let text = format!("user=rack@example.org\x01auth=Bearer {token}\x01\x01");
    format!("XOAUTH2 {}", BASE64.encode(text))
}

fn assert_secret(program: &Program) {
    let output = program.stdout() + &program.stderr();
    assert!(!output.contains("hunter2"), "{output}");
}

#[test]
fn a_refresh_token_gets_an_access_token_for_many_mails() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let provider = Provider::start();
    let token = r#"{"access_token":"first-token","expires_in":3600,"token_type":"Bearer"}"#;
    provider.endpoint.answer(Answer::Body(200, token));
    provider.smtp.expect_login(&login("first-token"));
    let grant = provider.grant() + "oauth_scope = \"https://mail.google.com/\"\n";
    let notifying = Notifying::new(&server.url(), &provider.notifier(&grant));
    let collector = notifying.start();
    wait_ready(redis, "email");
    write(redis, &[incident(1, 1), incident(2, 1)]);
    wait("both mails", || {
        (provider.smtp.mails_to(TO).len() == 2).then_some(())
    });
    let requests = provider.endpoint.requests();
    assert_eq!(
        requests.len(),
        1,
        "the token is used as long as it is valid"
    );
    assert_eq!(
        requests[0].headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        requests[0].body,
        "grant_type=refresh_token&client_id=rackwatch&client_secret=hunter2-secret&refresh_token=hunter2-refresh\
         &scope=https%3A%2F%2Fmail.google.com%2F"
    );
    assert_secret(&collector);
}

#[test]
fn an_expired_or_refused_token_is_replaced() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let provider = Provider::start();
    let token = r#"{"access_token":"first-token","expires_in":3600}"#;
    provider.endpoint.answer(Answer::Body(200, token));
    let notifying = Notifying::new(&server.url(), &provider.notifier(&provider.grant()));
    let collector = notifying.start();
    wait_ready(redis, "email");
    write(redis, &[incident(1, 1)]);
    wait("the first mail", || provider.smtp.mails_to(TO).pop());
    // The token is revoked. While the endpoint has none either, the mail waits.
    provider.smtp.expect_login(&login("second-token"));
    let refusal = r#"{"error":"invalid_grant","error_description":"hunter2"}"#;
    provider.endpoint.answer(Answer::Body(400, refusal));
    write(redis, &[incident(2, 1)]);
    wait("the reason", || {
        let stderr = collector.stderr();
        let is_logged = stderr.contains("mail server refused the login") && stderr.contains("535");
        is_logged.then_some(())
    });
    wait("the reason of the endpoint", || {
        let progress: Option<String> = redis::Commands::hget(
            redis,
            "{rackwatch:incidents}:delivery:email",
            "failing_reason",
        )
        .unwrap();
        progress?.contains("invalid_grant").then_some(())
    });
    // This one expires at once, so each mail gets another.
    let token =
        r#"{"access_token":"second-token","expires_in":0,"refresh_token":"hunter2-rotated"}"#;
    provider.endpoint.answer(Answer::Body(200, token));
    wait("the second mail", || {
        (provider.smtp.mails_to(TO).len() == 2).then_some(())
    });
    let before = provider.endpoint.requests().len();
    write(redis, &[incident(3, 1)]);
    wait("the third mail", || {
        (provider.smtp.mails_to(TO).len() == 3).then_some(())
    });
    let requests = provider.endpoint.requests();
    assert!(requests.len() > before);
    let last = &requests[requests.len() - 1].body;
    assert!(last.contains("refresh_token=hunter2-rotated"), "{last}");
    assert_secret(&collector);
}

#[test]
fn a_client_without_a_refresh_token_uses_its_own_credentials() {
    let server = RedisServer::start().unwrap();
    let provider = Provider::start();
    let token = r#"{"access_token":"app-token","expires_in":3600}"#;
    provider.endpoint.answer(Answer::Body(200, token));
    provider.smtp.expect_login(&login("app-token"));
    let grant = format!(
        "oauth_token_url = \"{}\"\noauth_client_id = \"rackwatch\"\n{}oauth_scope = \"https://outlook.office365.com/.default\"\n",
        provider.endpoint.url(),
        provider.file("oauth_client_secret_file", "secret")
    );
    let notifying = Notifying::new(&server.url(), &provider.notifier(&grant));
    let mut test = notifying.run(&["notify", "test"]);
    let ended = test.wait_exit(DEADLINE).unwrap();
    assert!(ended.success(), "{}{}", test.stdout(), test.stderr());
    let body = provider.endpoint.requests().remove(0).body;
    assert!(body.starts_with("grant_type=client_credentials&"), "{body}");
    assert_secret(&test);
}

#[test]
fn a_token_of_a_file_is_read_for_each_mail() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let provider = Provider::start();
    let path = provider.write("token", "first-token");
    provider.smtp.expect_login(&login("first-token"));
    let more = provider.file("oauth_token_file", "token");
    let notifying = Notifying::new(&server.url(), &provider.notifier(&more));
    let collector = notifying.start();
    wait_ready(redis, "email");
    write(redis, &[incident(1, 1)]);
    wait("the first mail", || provider.smtp.mails_to(TO).pop());
    provider.smtp.expect_login(&login("hunter2-token"));
    write(redis, &[incident(2, 1)]);
    wait("the refusal", || {
        collector
            .stderr()
            .contains("refused the login")
            .then_some(())
    });
    fs::remove_file(Path::new(&path)).unwrap();
    provider.write("token", "hunter2-token");
    wait("the second mail", || {
        (provider.smtp.mails_to(TO).len() == 2).then_some(())
    });
    assert_secret(&collector);
}
