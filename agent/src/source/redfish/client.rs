//! Reads documents of a BMC: bounded in time and size, and from that BMC only.

use std::path::PathBuf;
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use rackwatch_runtime::tls;
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Method, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};

use super::settings::{Login, RedfishTarget};
use crate::source::target::TargetCommon;

/// Largest document in bytes: `Thermal` of a big chassis has 200 kB.
const MAX_BYTES: usize = 8 << 20;
/// Collection of sessions, which a login adds to.
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// Settings that no client can be built from.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is not a URL or a host.
    #[error("address {0:?} is neither a host nor an https:// or http:// URL")]
    Address(String),
    /// Two keys name different certificates to trust.
    #[error("{0} and {1} contradict each other: set one of ca_file, fingerprint and insecure")]
    Contradiction(&'static str, &'static str),
    /// The file with the authorities cannot be read.
    #[error("cannot read ca_file {}", path.display())]
    Authority {
        /// File named by `ca_file`.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The client cannot be built.
    #[error("cannot build the HTTPS client: check that ca_file holds PEM certificates")]
    Client {
        /// Reason why the certificates are unusable.
        source: reqwest::Error,
    },
}

/// Refuses settings that name several ways to trust a certificate: all but one would have no effect.
fn trust_is_clear(settings: &RedfishTarget) -> Result<(), ClientError> {
    let keys = [
        ("ca_file", settings.ca_file.is_some()),
        ("fingerprint", settings.fingerprint.is_some()),
        ("insecure", settings.insecure),
    ];
    let mut set = keys.into_iter().filter(|(_, is_set)| *is_set);
    match (set.next(), set.next()) {
        (Some((one, _)), Some((other, _))) => Err(ClientError::Contradiction(one, other)),
        _ => Ok(()),
    }
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedfishError {
    #[error("wrong user or password (401): check user and password_file")]
    Login,
    #[error("the user may not read {path} (403): give it the role ReadOnly")]
    Forbidden { path: String },
    #[error("{path} does not exist (404)")]
    Missing { path: String },
    #[error("the BMC responded to {path} with {status}")]
    Status { path: String, status: StatusCode },
    #[error("{path} is larger than {MAX_BYTES} bytes")]
    TooLarge { path: String },
    #[error("{path} is not JSON")]
    NotJson { path: String },
    #[error(
        "the BMC's certificate is not trusted: set ca_file to its CA certificate, or fingerprint to \
         its SHA-256"
    )]
    Certificate,
    /// The address is left out: it may hold a password.
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
}

/// A client of one BMC.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    user: Option<String>,
    password: Option<Secret>,
    login: Login,
    /// Token of the session, if there is one.
    token: Option<Secret>,
}

impl Client {
    /// Returns a client; it does not connect yet.
    pub(super) fn new(
        common: &TargetCommon,
        settings: &RedfishTarget,
        password: Option<Secret>,
    ) -> Result<Self, ClientError> {
        let base = base(&common.address, common.port)
            .ok_or_else(|| ClientError::Address(common.address.clone()))?;
        trust_is_clear(settings)?;
        tls::install_provider();
        let own = base.host_str().unwrap_or_default().to_owned();
        let redirects = redirect::Policy::custom(move |attempt| {
            // Credentials go to this BMC only.
            let is_same = attempt.url().host_str() == Some(own.as_str());
            if is_same && attempt.previous().len() < 4 {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("rackwatch/", env!("CARGO_PKG_VERSION")))
            .timeout(common.deadline)
            .redirect(redirects)
            .no_proxy();
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path).map_err(|source| ClientError::Authority {
                path: path.clone(),
                source,
            })?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .map_err(|source| ClientError::Client { source })?;
            builder = builder.tls_certs_only(certificates);
        }
        if let Some(fingerprint) = settings.fingerprint {
            builder = builder.tls_backend_preconfigured(tls::pinned(fingerprint));
        }
        if settings.insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let http = builder
            .build()
            .map_err(|source| ClientError::Client { source })?;
        Ok(Self {
            http,
            base,
            user: common.user.clone(),
            password,
            login: settings.login,
            token: None,
        })
    }

    /// Reads the document at `path`. If the session has expired, logs in again once.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value, RedfishError> {
        let had_token = self.token.is_some();
        match self.request(path).await {
            Err(RedfishError::Login) if self.login == Login::Session && had_token => {
                self.token = None;
                self.request(path).await
            }
            response => response,
        }
    }

    async fn request(&mut self, path: &str) -> Result<Value, RedfishError> {
        if self.login == Login::Session && self.token.is_none() && self.user.is_some() {
            self.token = Some(self.open_session().await?);
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
        let response = request
            .send()
            .await
            .map_err(|error| request_error(&error))?;
        document(path, response).await
    }

    async fn open_session(&self) -> Result<Secret, RedfishError> {
        let login = json!({
            "UserName": self.user,
            "Password": self.password.as_ref().map(Secret::expose),
        });
        let request = self.http.post(self.url(SESSIONS)?).json(&login);
        let response = request
            .send()
            .await
            .map_err(|error| request_error(&error))?;
        if matches!(
            response.status(),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
        ) {
            return Err(RedfishError::Login);
        }
        let token = |headers: &HeaderMap| {
            let token = headers.get("X-Auth-Token")?.to_str().ok()?;
            Some(Secret::from(token.to_owned()))
        };
        token(response.headers()).ok_or(RedfishError::Status {
            path: SESSIONS.to_owned(),
            status: response.status(),
        })
    }

    /// Returns the URL of `path`; a path that leads to another host counts as missing.
    fn url(&self, path: &str) -> Result<Url, RedfishError> {
        let missing = || RedfishError::Missing {
            path: path.to_owned(),
        };
        let url = self.base.join(path).map_err(|_| missing())?;
        (url.host_str() == self.base.host_str() && url.port() == self.base.port())
            .then_some(url)
            .ok_or_else(missing)
    }
}

/// Parses an address such as `10.0.7.12`, `bmc.example` or `https://bmc.example:8443`.
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

async fn document(path: &str, mut response: Response) -> Result<Value, RedfishError> {
    let path = path.to_owned();
    match response.status() {
        status if status.is_success() => {}
        StatusCode::UNAUTHORIZED => return Err(RedfishError::Login),
        StatusCode::FORBIDDEN => return Err(RedfishError::Forbidden { path }),
        StatusCode::NOT_FOUND => return Err(RedfishError::Missing { path }),
        status => return Err(RedfishError::Status { path, status }),
    }
    let mut body = Vec::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| request_error(&error))?
    {
        if body.len() + part.len() > MAX_BYTES {
            return Err(RedfishError::TooLarge { path });
        }
        body.extend_from_slice(&part);
    }
    serde_json::from_slice(&body).map_err(|_| RedfishError::NotJson { path })
}

/// Returns the innermost cause of an error: outer ones quote the address, which may hold a password.
fn request_error(error: &reqwest::Error) -> RedfishError {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        text = error.to_string();
        if text.contains("certificate") {
            return RedfishError::Certificate;
        }
        cause = error.source();
    }
    RedfishError::Unreachable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_one_way_to_trust_a_certificate() {
        let insecure = RedfishTarget {
            insecure: true,
            ..RedfishTarget::default()
        };
        assert!(trust_is_clear(&RedfishTarget::default()).is_ok());
        assert!(trust_is_clear(&insecure).is_ok());
        let both = RedfishTarget {
            ca_file: Some("/ca.pem".into()),
            ..insecure
        };
        let error = trust_is_clear(&both).unwrap_err().to_string();
        assert!(error.contains("ca_file and insecure"), "{error}");
    }
}
