//! One SMTP session: from the connection to the server's answer to one mail for one recipient.
//!
//! Only a permanent refusal of the content (a 5xx after DATA) is about the message. Whatever the server refuses before
//! that, such as the login, the sender or the recipient, an operator can correct there or here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::address::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use rackwatch_runtime::config::Secret;
use rackwatch_runtime::error::chain;
use tokio::time::timeout;

use super::login::Login;
use crate::notify::notifier::SendOutcome;

/// Longest time for the end of the session, when the mail is already accepted.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// The encryption of a session.
#[derive(Clone)]
pub(super) enum Tls {
    /// None at all.
    None,
    /// TLS that begins after the greeting.
    Starttls(TlsParameters),
    /// TLS from the first byte.
    Wrapped(TlsParameters),
}

/// The mail server to talk to.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Tls,
    /// The longest duration of a session.
    pub(super) timeout: Duration,
}

/// The mechanisms that send a password, in the order of preference.
const PASSWORD_MECHANISMS: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];
/// The reply that carries a challenge. To XOAUTH2 it describes an error.
const CHALLENGE: u16 = 334;

/// The part of a session that failed.
enum SessionError {
    /// All before the content.
    BeforeContent(&'static str, Error),
    /// The content of the mail.
    Content(Error),
    /// The server cannot handle such addresses.
    Addresses,
    /// There is no access token to log in with.
    NoToken(String),
}

impl From<SessionError> for SendOutcome {
    fn from(refused: SessionError) -> Self {
        let retry = |reason| Self::Retry {
            reason,
            after: None,
        };
        match refused {
            SessionError::Content(error) if error.is_permanent() => Self::Rejected {
                reason: format!("mail server refused the content: {}", chain(&error)),
            },
            SessionError::Content(error) => {
                retry(format!("mail server refused the mail: {}", chain(&error)))
            }
            SessionError::BeforeContent(what, error) => retry(format!("{what}: {}", chain(&error))),
            SessionError::NoToken(reason) => retry(reason),
            SessionError::Addresses => {
                retry("mail server does not support addresses beyond ASCII".to_owned())
            }
        }
    }
}

impl Server {
    /// Sends one mail to one recipient.
    pub(super) async fn send(
        &self,
        login: Option<&Login>,
        (from, to): (&Address, &Address),
        mail: &[u8],
    ) -> SendOutcome {
        let session = self.converse(login, (from, to), mail);
        match timeout(self.timeout, session).await {
            Ok(Ok(mut connection)) => {
                // The mail is accepted whatever comes of this.
                drop(timeout(QUIT_TIMEOUT, connection.quit()).await);
                SendOutcome::Delivered { confirmed: false }
            }
            Ok(Err(refused)) => refused.into(),
            Err(_) => SendOutcome::Retry {
                reason: "mail server did not answer in time".to_owned(),
                after: None,
            },
        }
    }

    async fn converse(
        &self,
        login: Option<&Login>,
        (from, to): (&Address, &Address),
        mail: &[u8],
    ) -> Result<AsyncSmtpConnection, SessionError> {
        let mut connection = self.connect().await?;
        if let Some(login) = login {
            log_in(&mut connection, login).await?;
        }
        let mut parameters = Vec::new();
        if ![from, to]
            .into_iter()
            .all(|a| AsRef::<str>::as_ref(a).is_ascii())
        {
            if !connection
                .server_info()
                .supports_feature(Extension::SmtpUtfEight)
            {
                return Err(SessionError::Addresses);
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let sender = Mail::new(Some(from.clone()), parameters);
        let answer = connection.command(sender).await;
        accepted("mail server refused the sender", answer)?;
        let answer = connection.command(Rcpt::new(to.clone(), Vec::new())).await;
        accepted("mail server refused the recipient", answer)?;
        let answer = connection.command(Data).await;
        accepted("mail server refused to accept a mail", answer)?;
        connection
            .message(mail)
            .await
            .map_err(SessionError::Content)?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SessionError> {
        let what = "cannot connect to the mail server";
        let name = ClientId::default();
        let wrapped = match &self.tls {
            Tls::Wrapped(parameters) => Some(parameters.clone()),
            Tls::None | Tls::Starttls(_) => None,
        };
        let address = (self.host.as_str(), self.port);
        let connected =
            AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &name, wrapped, None);
        let mut connection = accepted(what, connected.await)?;
        if let Tls::Starttls(parameters) = &self.tls {
            let encrypted = connection.starttls(parameters.clone(), &name).await;
            accepted(
                "cannot encrypt the connection to the mail server",
                encrypted,
            )?;
        }
        Ok(connection)
    }
}

/// Logs in. A refused access token is not used again.
async fn log_in(connection: &mut AsyncSmtpConnection, login: &Login) -> Result<(), SessionError> {
    let what = "mail server refused the login";
    let (user, source) = match login {
        Login::Password(credentials) => {
            let answer = connection.auth(PASSWORD_MECHANISMS, credentials).await;
            return accepted(what, answer).map(drop);
        }
        Login::Token { user, source } => (user, source),
    };
    let token = source.token().await.map_err(SessionError::NoToken)?;
    let mut answer = connection.command(xoauth2(user, &token)).await;
    if let Ok(challenge) = &answer
        && challenge.has_code(CHALLENGE)
    {
        // The refusal follows once the client has answered.
        answer = connection.command("\r\n").await;
    }
    if answer.is_err() {
        source.refused(&token).await;
    }
    accepted(what, answer).map(drop)
}

/// Returns the command of a login with an access token (developers.google.com, "OAuth 2.0 Mechanism").
fn xoauth2(user: &str, token: &Secret) -> String {
    let text = format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose());
    format!("AUTH XOAUTH2 {}\r\n", BASE64.encode(text))
}

fn accepted<T>(what: &'static str, answer: Result<T, Error>) -> Result<T, SessionError> {
    answer.map_err(|error| SessionError::BeforeContent(what, error))
}
