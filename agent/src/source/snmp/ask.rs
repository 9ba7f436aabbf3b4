//! Asking a device by SNMP: one get, one walk, bounded in tries, rows and time.

use std::collections::BTreeMap;
use std::time::Duration;

use rackwatch_runtime::config::Secret;
use snmp2::v3::{Auth, AuthErrorKind, AuthProtocol, Cipher, KeyExtension, Security};
use snmp2::{AsyncSession, Error, Oid, Value, Version};
use tokio::time::timeout;

use super::preset::Numbers;
use crate::config::{Authentication, Privacy};

/// Tries of one request: UDP loses some.
const TRIES: u32 = 3;
/// Rows of a walk, and of one of its answers.
const MOST_ROWS: usize = 2_000;
const AT_ONCE: u32 = 20;
/// Objects of one get: more may not fit an answer.
const IN_A_GET: usize = 16;

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Who {
    /// By SNMP v2c.
    Community(Secret),
    /// By SNMP v3.
    User {
        name: String,
        authentication: Authentication,
        password: Secret,
        privacy: Option<(Privacy, Secret)>,
    },
}

/// Why a device gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("cannot send to {address}")]
    Address {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "no answer within {}: a wrong address, a firewall, or a community that the device does not know \
         (community_file); by v3 also a wrong privacy password",
        humantime::format_duration(*.0)
    )]
    Late(Duration),
    #[error("{0}: see user, password_file, authentication, privacy_file and privacy")]
    Login(AuthErrorKind),
    #[error("its answer cannot be understood: {0}")]
    Garbled(Error),
    #[error("it answers with error {0}")]
    Status(u32),
}

/// One conversation with a device.
pub(super) struct Session {
    session: AsyncSession,
    each: Duration,
}

impl Session {
    /// Begins one; `within` is how long a request may take with all its tries.
    pub(super) async fn begin(
        address: &str,
        port: u16,
        who: &Who,
        within: Duration,
    ) -> Result<Self, Refusal> {
        let to = (address, port);
        let refused = |source| Refusal::Address {
            address: address.to_owned(),
            source,
        };
        let session = match who {
            Who::Community(community) => {
                AsyncSession::new_v2c(to, community.expose().as_bytes(), first_id()).await
            }
            Who::User { .. } => AsyncSession::new_v3(to, first_id(), security(who)).await,
        };
        let mut new = Self {
            session: session.map_err(refused)?,
            each: within / TRIES,
        };
        if new.session.version() == Version::V3 {
            let init = timeout(new.each, new.session.init()).await;
            init.map_err(|_| Refusal::Late(new.each))?
                .map_err(refusal)?;
        }
        Ok(new)
    }

    /// The numbers of these objects; those that are not there, or are no numbers, are left out.
    pub(super) async fn get(
        &mut self,
        objects: &[Numbers],
    ) -> Result<BTreeMap<Numbers, i64>, Refusal> {
        let mut all = BTreeMap::new();
        for some in objects.chunks(IN_A_GET) {
            let oids: Vec<Oid<'static>> = some.iter().filter_map(|numbers| oid(numbers)).collect();
            let oids: Vec<&Oid<'_>> = oids.iter().collect();
            all.extend(
                self.request(&oids, None)
                    .await?
                    .into_iter()
                    .filter_map(number),
            );
        }
        Ok(all)
    }

    /// All that is below `column`.
    pub(super) async fn walk(
        &mut self,
        column: &Numbers,
    ) -> Result<BTreeMap<Numbers, i64>, Refusal> {
        let (mut all, mut last) = (BTreeMap::new(), column.clone());
        while all.len() < MOST_ROWS {
            let Some(from) = oid(&last) else { break };
            let some = self.request(&[&from], Some(AT_ONCE)).await?;
            let before = all.len();
            let mut inside = true;
            for (at, value) in some {
                // A device that repeats itself would be walked for ever.
                inside = at.starts_with(column) && at > last;
                if !inside {
                    break;
                }
                last.clone_from(&at);
                // What is no number is walked over.
                all.extend(number((at, value)));
            }
            if !inside || (all.len() == before && last == *column) {
                break;
            }
        }
        Ok(all)
    }

    /// A get, or with a count a get-bulk; tried again where nothing comes back.
    async fn request(
        &mut self,
        oids: &[&Oid<'_>],
        bulk: Option<u32>,
    ) -> Result<Vec<(Numbers, Option<i64>)>, Refusal> {
        let mut late = Refusal::Late(self.each * TRIES);
        for _ in 0..TRIES {
            let asked = async {
                match bulk {
                    Some(count) => self.session.getbulk(oids, 0, count).await,
                    None => self.session.get_many(oids).await,
                }
            };
            match timeout(self.each, asked).await {
                Ok(Ok(answer)) if answer.error_status != 0 => {
                    return Err(Refusal::Status(answer.error_status));
                }
                Ok(Ok(answer)) => {
                    let each = answer.varbinds.clone();
                    return Ok(each
                        .filter_map(|(at, value)| Some((numbers_of(&at)?, integer(&value))))
                        .collect());
                }
                // An answer to what was asked before, or the device's clock is known only now.
                Ok(Err(Error::RequestIdMismatch | Error::AuthUpdated)) | Err(_) => {}
                Ok(Err(error)) => late = refusal(error),
            }
        }
        Err(late)
    }
}

fn number((at, value): (Numbers, Option<i64>)) -> Option<(Numbers, i64)> {
    Some((at, value?))
}

fn oid(numbers: &Numbers) -> Option<Oid<'static>> {
    Oid::from(numbers).ok()
}

fn numbers_of(oid: &Oid<'_>) -> Option<Numbers> {
    Some(oid.iter()?.collect())
}

/// A number, or text that is one: some devices have `"197"`.
fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Unsigned32(number) | Value::Counter32(number) => Some(i64::from(*number)),
        Value::OctetString(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// Not the same after each start: a late answer to the run before is told from one to this.
fn first_id() -> i32 {
    let clock = rackwatch_runtime::clock::now().millis() & 0x3fff_ffff;
    i32::try_from(clock).unwrap_or(1)
}

fn security(who: &Who) -> Security {
    let Who::User {
        name,
        authentication,
        password,
        privacy,
    } = who
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
        // How keys become long enough for AES-192 and AES-256; as Cisco and net-snmp do it.
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

fn refusal(error: Error) -> Refusal {
    match error {
        Error::AuthFailure(why) => Refusal::Login(why),
        error => Refusal::Garbled(error),
    }
}
