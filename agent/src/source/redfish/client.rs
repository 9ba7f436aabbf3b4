//! Asking a BMC for documents: bounded in time and size, and of that BMC alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use rackwatch_runtime::tls;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Method, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};

use crate::config::{Login, TargetConfig};

/// A larger document than this is none: `Thermal` of a big chassis has 200 kB.
const MOST_BYTES: usize = 8 << 20;
/// Where sessions are made.
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// A target whose settings cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("target {target:?}: {address:?} is no https:// or http:// address, nor a host")]
    Address {
        /// Which.
        target: String,
        /// What was written.
        address: String,
    },
    /// The authority cannot be read.
    #[error("target {target:?}: cannot read ca_file {}", path.display())]
    Authority {
        /// Which.
        target: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The client cannot be made.
    #[error("target {target:?}: the HTTPS client cannot be made (is ca_file PEM?)")]
    Client {
        /// Which.
        target: String,
        /// Why not.
        source: reqwest::Error,
    },
}

/// Why a document did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("wrong user or password (401): see user and password_file")]
    Login,
    #[error("the user may not read {path} (403): give it the role ReadOnly")]
    Forbidden { path: String },
    #[error("{path} is not there (404)")]
    Missing { path: String },
    #[error("{path} is answered with {status}")]
    Status { path: String, status: StatusCode },
    #[error("{path} is larger than {MOST_BYTES} bytes")]
    TooLarge { path: String },
    #[error("{path} is no JSON")]
    NoJson { path: String },
    #[error(
        "its certificate is not trusted: name its authority in ca_file, or the certificate in fingerprint"
    )]
    Certificate,
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Late(Duration),
}

/// Asks one BMC.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    user: Option<String>,
    password: Option<Secret>,
    login: Login,
    /// Of the session, where there is one.
    token: Option<Secret>,
}

impl Client {
    pub(super) fn new(
        config: &TargetConfig,
        password: Option<Secret>,
    ) -> Result<Self, ClientError> {
        let target = config.name.as_str().to_owned();
        let base = base(&config.address, config.port).ok_or_else(|| ClientError::Address {
            target: target.clone(),
            address: config.address.clone(),
        })?;
        tls::choose_provider();
        let own = base.host_str().unwrap_or_default().to_owned();
        let redirects = redirect::Policy::custom(move |attempt| {
            // Credentials go to this BMC and to nobody else.
            let same = attempt.url().host_str() == Some(own.as_str());
            if same && attempt.previous().len() < 4 {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("rackwatch/", env!("CARGO_PKG_VERSION")))
            .timeout(config.deadline)
            .redirect(redirects)
            .no_proxy();
        if let Some(path) = &config.ca_file {
            let read = authority(path).map_err(|source| ClientError::Authority {
                target: target.clone(),
                path: path.clone(),
                source,
            })?;
            let certificates =
                Certificate::from_pem_bundle(&read).map_err(|source| ClientError::Client {
                    target: target.clone(),
                    source,
                })?;
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(fingerprint) = config.fingerprint {
            builder = builder.tls_backend_preconfigured(tls::pinned(fingerprint));
        }
        if config.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        match builder.build() {
            Ok(http) => Ok(Self {
                http,
                base,
                user: config.user.clone(),
                password,
                login: config.login,
                token: None,
            }),
            Err(source) => Err(ClientError::Client { target, source }),
        }
    }

    /// The document at `path`; a session that has ended is made again once.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value, Refusal> {
        let had_token = self.token.is_some();
        match self.ask(path).await {
            Err(Refusal::Login) if self.login == Login::Session && had_token => {
                self.token = None;
                self.ask(path).await
            }
            answer => answer,
        }
    }

    async fn ask(&mut self, path: &str) -> Result<Value, Refusal> {
        if self.login == Login::Session && self.token.is_none() && self.user.is_some() {
            self.token = Some(self.begin_session().await?);
        }
        let mut request = self.http.request(Method::GET, self.url(path)?);
        match (&self.token, &self.user) {
            (Some(token), _) => request = request.header("X-Auth-Token", token.expose()),
            (None, Some(user)) => {
                let password = self.password.as_ref().map(Secret::expose);
                request = request.basic_auth(user, password);
            }
            (None, None) => {}
        }
        let response = request.send().await.map_err(|error| refusal(&error))?;
        document(path, response).await
    }

    async fn begin_session(&self) -> Result<Secret, Refusal> {
        let who = json!({
            "UserName": self.user,
            "Password": self.password.as_ref().map(Secret::expose),
        });
        let request = self.http.post(self.url(SESSIONS)?).json(&who);
        let response = request.send().await.map_err(|error| refusal(&error))?;
        if matches!(
            response.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(Refusal::Login);
        }
        let token = |headers: &HeaderMap| {
            let token = headers.get("X-Auth-Token")?.to_str().ok()?;
            Some(Secret::from(token.to_owned()))
        };
        token(response.headers()).ok_or(Refusal::Status {
            path: SESSIONS.to_owned(),
            status: response.status(),
        })
    }

    /// Of this BMC, whatever a document says.
    fn url(&self, path: &str) -> Result<Url, Refusal> {
        let missing = || Refusal::Missing {
            path: path.to_owned(),
        };
        let url = self.base.join(path).map_err(|_| missing())?;
        (url.host_str() == self.base.host_str() && url.port() == self.base.port())
            .then_some(url)
            .ok_or_else(missing)
    }
}

/// `10.0.7.12`, `bmc.example`, `https://bmc.example:8443`.
fn base(address: &str, port: Option<u16>) -> Option<Url> {
    let text = if address.contains("://") {
        address.to_owned()
    } else if address.contains(':') && !address.starts_with('[') {
        format!("https://[{address}]")
    } else {
        format!("https://{address}")
    };
    let mut url = Url::parse(&text).ok()?;
    if let Some(port) = port {
        url.set_port(Some(port)).ok()?;
    }
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

fn authority(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

async fn document(path: &str, mut response: Response) -> Result<Value, Refusal> {
    let path = path.to_owned();
    match response.status() {
        status if status.is_success() => {}
        StatusCode::UNAUTHORIZED => return Err(Refusal::Login),
        StatusCode::FORBIDDEN => return Err(Refusal::Forbidden { path }),
        StatusCode::NOT_FOUND => return Err(Refusal::Missing { path }),
        status => return Err(Refusal::Status { path, status }),
    }
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| refusal(&error))? {
        if body.len() + part.len() > MOST_BYTES {
            return Err(Refusal::TooLarge { path });
        }
        body.extend_from_slice(&part);
    }
    serde_json::from_slice(&body).map_err(|_| Refusal::NoJson { path })
}

/// What went wrong, without the address: it may hold a password.
fn refusal(error: &reqwest::Error) -> Refusal {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        text = error.to_string();
        if text.contains("certificate") {
            return Refusal::Certificate;
        }
        cause = error.source();
    }
    Refusal::Unreachable(text)
}
