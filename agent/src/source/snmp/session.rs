//! A session with an SNMP agent: gets and walks, bounded in attempts, rows and time.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_runtime::clock;
use rackwatch_runtime::config::Secret;
use snmp2::v3::{Auth, AuthErrorKind, AuthProtocol, Cipher, KeyExtension, Security};
use snmp2::{AsyncSession, Error, Value, Version};
use tokio::time::timeout;

use super::preset::Oid;
use super::settings::{Authentication, Privacy};

/// Attempts of one request: UDP loses packets.
const ATTEMPTS: u32 = 3;
/// Most rows of a walk: the largest tables have some hundreds.
const MAX_ROWS: usize = 2_000;
/// Rows of one response of a walk: they fit one packet.
const ROWS_PER_RESPONSE: u32 = 20;
/// Objects of one get: more may not fit one packet.
const OBJECTS_PER_GET: usize = 16;

/// The credentials of a session.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
    /// Community of SNMP v2c.
    Community(Secret),
    /// User of SNMP v3.
    User {
        name: String,
        authentication: Authentication,
        password: Secret,
        privacy: Option<(Privacy, Secret)>,
    },
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("cannot send to {address}")]
    Address {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "no answer within {}: wrong address, a firewall, or an unknown community (community_file); \
         with v3 also a wrong privacy password",
        humantime::format_duration(*.0)
    )]
    Timeout(Duration),
    #[error("{0}: check user, password_file, authentication, privacy_file and privacy")]
    Login(AuthErrorKind),
    #[error("unexpected response")]
    Garbled { source: Error },
    #[error("the device responded with SNMP error {0}")]
    Status(u32),
}

/// A session with one SNMP agent.
pub(super) struct Session {
    session: AsyncSession,
    /// Timeout of each attempt.
    attempt_timeout: Duration,
}

impl Session {
    /// Opens a session; `limit` is the timeout of a request with all its attempts.
    pub(super) async fn open(
        address: &str,
        port: u16,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<Self, RequestError> {
        let to = (address, port);
        let failed = |source| RequestError::Address {
            address: address.to_owned(),
            source,
        };
        let session = match credentials {
            Credentials::Community(community) => {
                AsyncSession::new_v2c(to, community.expose().as_bytes(), first_id()).await
            }
            Credentials::User { .. } => {
                AsyncSession::new_v3(to, first_id(), security(credentials)).await
            }
        };
        let mut new = Self {
            session: session.map_err(failed)?,
            attempt_timeout: limit / ATTEMPTS,
        };
        if new.session.version() == Version::V3 {
            let init = timeout(new.attempt_timeout, new.session.init()).await;
            init.map_err(|_| RequestError::Timeout(new.attempt_timeout))?
                .map_err(request_error)?;
        }
        Ok(new)
    }

    /// Returns the numbers of these objects. Objects that are absent or not numbers are omitted.
    pub(super) async fn get(
        &mut self,
        objects: &[Oid],
    ) -> Result<BTreeMap<Oid, i64>, RequestError> {
        let mut all = BTreeMap::new();
        for some in objects.chunks(OBJECTS_PER_GET) {
            let oids: Vec<snmp2::Oid<'static>> = some.iter().filter_map(to_wire).collect();
            let oids: Vec<&snmp2::Oid<'_>> = oids.iter().collect();
            all.extend(
                self.request(&oids, None)
                    .await?
                    .into_iter()
                    .filter_map(number),
            );
        }
        Ok(all)
    }

    /// Returns the numbers of all objects below `column`.
    pub(super) async fn walk(&mut self, column: &Oid) -> Result<BTreeMap<Oid, i64>, RequestError> {
        let (mut all, mut last) = (BTreeMap::new(), column.clone());
        while all.len() < MAX_ROWS {
            let Some(from) = to_wire(&last) else { break };
            let some = self.request(&[&from], Some(ROWS_PER_RESPONSE)).await?;
            let before = all.len();
            let mut is_inside = true;
            for (at, value) in some {
                // A device that repeats itself would be walked forever.
                is_inside = at.starts_with(column) && at > last;
                if !is_inside {
                    break;
                }
                last.clone_from(&at);
                // Objects that are not numbers are skipped.
                all.extend(number((at, value)));
            }
            if !is_inside || (all.len() == before && last == *column) {
                break;
            }
        }
        Ok(all)
    }

    /// Sends a get, or with a count a get-bulk, and repeats it if there is no response.
    async fn request(
        &mut self,
        oids: &[&snmp2::Oid<'_>],
        bulk: Option<u32>,
    ) -> Result<Vec<(Oid, Option<i64>)>, RequestError> {
        let mut error = RequestError::Timeout(self.attempt_timeout * ATTEMPTS);
        for _ in 0..ATTEMPTS {
            let request = async {
                match bulk {
                    Some(count) => self.session.getbulk(oids, 0, count).await,
                    None => self.session.get_many(oids).await,
                }
            };
            match timeout(self.attempt_timeout, request).await {
                Ok(Ok(response)) if response.error_status != 0 => {
                    return Err(RequestError::Status(response.error_status));
                }
                Ok(Ok(response)) => {
                    let each = response.varbinds.clone();
                    return Ok(each
                        .filter_map(|(at, value)| Some((from_wire(&at)?, integer(&value))))
                        .collect());
                }
                // A response to an earlier request, or the session has just learnt the device's clock.
                Ok(Err(Error::RequestIdMismatch | Error::AuthUpdated)) | Err(_) => {}
                Ok(Err(failure)) => error = request_error(failure),
            }
        }
        Err(error)
    }
}

fn number((at, value): (Oid, Option<i64>)) -> Option<(Oid, i64)> {
    Some((at, value?))
}

fn to_wire(oid: &Oid) -> Option<snmp2::Oid<'static>> {
    snmp2::Oid::from(oid).ok()
}

fn from_wire(oid: &snmp2::Oid<'_>) -> Option<Oid> {
    Some(oid.iter()?.collect())
}

/// Returns a number, also from text: some devices respond with `"197"`.
fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Unsigned32(number) | Value::Counter32(number) => Some(i64::from(*number)),
        Value::OctetString(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// Returns a request id that differs after each start, so late responses to an earlier session do
/// not match.
fn first_id() -> i32 {
    let clock = clock::now().millis() & 0x3fff_ffff;
    i32::try_from(clock).unwrap_or(1)
}

fn security(credentials: &Credentials) -> Security {
    let Credentials::User {
        name,
        authentication,
        password,
        privacy,
    } = credentials
    else {
        return Security::new(b"", b"");
    };
    let protocol = match authentication {
        Authentication::Md5 => AuthProtocol::Md5,
        Authentication::Sha1 => AuthProtocol::Sha1,
        Authentication::Sha224 => AuthProtocol::Sha224,
        Authentication::Sha256 => AuthProtocol::Sha256,
        Authentication::Sha384 => AuthProtocol::Sha384,
        Authentication::Sha512 => AuthProtocol::Sha512,
    };
    let security = Security::new(name.as_bytes(), password.expose().as_bytes())
        .with_auth_protocol(protocol)
        // Extends keys for AES-192 and AES-256 as Cisco and net-snmp do.
        .with_key_extension_method(KeyExtension::Reeder);
    match privacy {
        None => security.with_auth(Auth::AuthNoPriv),
        Some((privacy, password)) => security.with_auth(Auth::AuthPriv {
            cipher: match privacy {
                Privacy::Des => Cipher::Des,
                Privacy::Aes128 => Cipher::Aes128,
                Privacy::Aes192 => Cipher::Aes192,
                Privacy::Aes256 => Cipher::Aes256,
            },
            privacy_password: password.expose().as_bytes().to_vec(),
        }),
    }
}

fn request_error(error: Error) -> RequestError {
    match error {
        Error::AuthFailure(kind) => RequestError::Login(kind),
        source => RequestError::Garbled { source },
    }
}
