//! Configuration entries of several kinds, such as `[[targets]]` with `type = "redfish"`.
//!
//! An entry has a tag that names its kind, keys that all kinds share, and keys of its kind. Each is
//! a plain struct that derives `Deserialize`, and a [`Kinds`] ties them together:
//!
//! ```
//! use rackwatch_runtime::config::tagged::Kinds;
//! use serde::{Deserialize, Deserializer};
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Common {
//!     name: String,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Webhook {
//!     url: String,
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Email {
//!     to: Vec<String>,
//! }
//!
//! enum Kind {
//!     Webhook(Webhook),
//!     Email(Email),
//! }
//!
//! struct Notifier {
//!     common: Common,
//!     kind: Kind,
//! }
//!
//! fn kinds() -> Kinds<Common, Kind> {
//!     Kinds::new("type")
//!         .with("webhook", |_, settings| Ok(Kind::Webhook(settings)))
//!         .with("email", |_, settings| Ok(Kind::Email(settings)))
//! }
//!
//! impl<'de> Deserialize<'de> for Notifier {
//!     fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
//!         let (common, kind) = kinds().deserialize(from)?;
//!         Ok(Self { common, kind })
//!     }
//! }
//!
//! let text = "name = 'ops'\ntype = 'webhook'\nto = ['a@b.example']";
//! let error = toml::from_str::<Notifier>(text).err().unwrap();
//! assert!(error.to_string().contains("is a key of type = \"email\""));
//! ```
//!
//! The names of the keys come from the structs themselves ([`keys_of`]), so they are written once.
//! A key of another kind is an error that names the kinds it belongs to. Loaded through
//! [`load`](super::load), every error also names the file, the line and the whole key.

use std::fmt;
use std::marker::PhantomData;

use rackwatch_core::words::list;
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use toml::{Table, Value};

use super::checked::conflict;
use super::path::KeyPath;

/// The kinds of an entry: `C` holds the keys that all kinds share, `T` is any of the kinds.
pub struct Kinds<C, T> {
    tag: &'static str,
    common: &'static [&'static str],
    known: Vec<Kind<C, T>>,
    marker: PhantomData<fn() -> C>,
}

struct Kind<C, T> {
    name: &'static str,
    keys: &'static [&'static str],
    read: Box<EntryReader<C, T>>,
}

impl<C, T> fmt::Debug for Kinds<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.known.iter().map(|kind| (kind.name, kind.keys));
        f.debug_map().entries(names).finish()
    }
}

type EntryReader<C, T> = dyn Fn(&C, Table) -> Result<T, String> + Send + Sync;

/// A fault of an entry as a whole, for the function that [`Kinds::with`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryError {
    /// A key is missing that only other keys make mandatory.
    Missing {
        /// The key.
        key: &'static str,
        /// An alternative or a reason, such as `or user and password_file`; may be empty.
        hint: &'static str,
    },
    /// A key that excludes another, and both are set.
    Conflict {
        /// The key.
        key: &'static str,
        /// The other key.
        other: &'static str,
    },
    /// A value that its type accepts is still wrong.
    Wrong {
        /// The key, or a path to it from the entry, such as `sensors[1].oid`.
        key: String,
        /// The requirement, such as `expected an object identifier`.
        message: String,
    },
}

impl EntryError {
    fn text(&self) -> String {
        match self {
            Self::Missing { key, hint: "" } => missing(key),
            Self::Missing { key, hint } => format!("{}, {hint}", missing(key)),
            Self::Conflict { key, other } => located(key, &conflict(other)),
            Self::Wrong { key, message } => located(key, message),
        }
    }
}

impl<C: DeserializeOwned, T> Kinds<C, T> {
    /// Returns an empty set of kinds that the key `tag` tells apart.
    pub fn new(tag: &'static str) -> Self {
        Self {
            tag,
            common: keys_of::<C>(),
            known: Vec::new(),
            marker: PhantomData,
        }
    }

    /// Adds the kind `name` with the keys of struct `K`. `make` checks an entry, and turns it into
    /// the caller's type.
    #[must_use]
    pub fn with<K: DeserializeOwned>(
        mut self,
        name: &'static str,
        make: impl Fn(&C, K) -> Result<T, EntryError> + Send + Sync + 'static,
    ) -> Self {
        self.known.push(Kind {
            name,
            keys: keys_of::<K>(),
            read: Box::new(move |common, table| {
                make(common, read(table)?).map_err(|error| error.text())
            }),
        });
        self
    }

    /// Returns the names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.known.iter().map(|kind| kind.name)
    }

    /// Returns the keys that all kinds share, without the tag.
    pub fn common_keys(&self) -> &'static [&'static str] {
        self.common
    }

    /// Returns the keys of one kind, without the shared ones; none for an unknown kind.
    pub fn keys(&self, name: &str) -> &'static [&'static str] {
        self.find(name).map_or(&[], |kind| kind.keys)
    }

    /// Reads one entry.
    ///
    /// # Errors
    ///
    /// When the tag or a mandatory key is missing, a key is unknown or of another kind, or a value
    /// is wrong.
    pub fn deserialize<'de, D: Deserializer<'de>>(&self, from: D) -> Result<(C, T), D::Error> {
        let table = Table::deserialize(from)?;
        self.read(table).map_err(D::Error::custom)
    }

    fn read(&self, mut table: Table) -> Result<(C, T), String> {
        let names = || self.names().collect::<Vec<_>>().join(", ");
        let name = match table.remove(self.tag) {
            Some(Value::String(name)) => name,
            Some(_) => return Err(located(self.tag, &format!("expected one of {}", names()))),
            None => return Err(format!("{}, one of {}", missing(self.tag), names())),
        };
        let kind = self
            .find(&name)
            .ok_or_else(|| located(self.tag, &format!("expected one of {}", names())))?;
        let (mut common, mut own) = (Table::new(), Table::new());
        for (key, value) in table {
            if self.common.contains(&key.as_str()) {
                common.insert(key, value);
            } else if kind.keys.contains(&key.as_str()) {
                own.insert(key, value);
            } else {
                return Err(located(&key, &self.refusal(&key, kind)));
            }
        }
        let common = read(common)?;
        let kind = (kind.read)(&common, own)?;
        Ok((common, kind))
    }

    fn find(&self, name: &str) -> Option<&Kind<C, T>> {
        self.known.iter().find(|kind| kind.name == name)
    }

    /// Returns the reason why `key` is not a key of `kind`.
    fn refusal(&self, key: &str, kind: &Kind<C, T>) -> String {
        let owners: Vec<_> = self
            .known
            .iter()
            .filter(|other| other.keys.contains(&key))
            .map(|other| format!("{:?}", other.name))
            .collect();
        if owners.is_empty() {
            let known = [&[self.tag], self.common, kind.keys].concat().join(", ");
            return format!("unknown field `{key}`, expected one of {known}");
        }
        format!(
            "`{key}` is a key of {tag} = {}, this entry has {tag} = {:?}",
            list(&owners, "or"),
            kind.name,
            tag = self.tag,
        )
    }
}

/// Reads a struct, and puts the path of a wrong key into the message.
fn read<K: DeserializeOwned>(table: Table) -> Result<K, String> {
    serde_path_to_error::deserialize(table).map_err(|error| {
        let path = KeyPath::from(error.path()).to_string();
        located(&path, error.inner().message())
    })
}

fn missing(key: &str) -> String {
    format!("missing field `{key}`")
}

/// Returns a message that carries a path below the entry, for [`take_path`].
fn located(path: &str, message: &str) -> String {
    if path.is_empty() {
        message.to_owned()
    } else {
        format!("at `{path}`: {message}")
    }
}

/// Splits a message into the path below the entry that [`Kinds::deserialize`] put into it and the
/// rest.
pub(super) fn take_path(message: &str) -> (KeyPath, &str) {
    let located = message
        .strip_prefix("at `")
        .and_then(|rest| rest.split_once("`: "));
    match located {
        Some((path, message)) => (KeyPath::parse(path), message),
        None => (KeyPath::default(), message),
    }
}

/// Returns the keys of a struct that derives `Deserialize`, as its serde attributes name them.
///
/// Structs with `#[serde(flatten)]` do not reveal their keys: the result is empty.
pub fn keys_of<K: DeserializeOwned>() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The recorder has no values, so an error is expected.
    let _refused = K::deserialize(KeyRecorder(&mut keys));
    keys
}

/// A deserializer that only records which keys a struct asks for.
struct KeyRecorder<'k>(&'k mut &'static [&'static str]);

impl<'de> Deserializer<'de> for KeyRecorder<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(Error::custom("only the keys are wanted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[derive(Default)]
    struct Settings {
        plain: u8,
        #[serde(rename = "match")]
        renamed: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(try_from = "Settings")]
    struct Checked;

    impl TryFrom<Settings> for Checked {
        type Error = String;

        fn try_from(settings: Settings) -> Result<Self, String> {
            Err(format!("{}{}", settings.plain, settings.renamed))
        }
    }

    #[test]
    fn keys_are_those_of_the_struct() {
        assert_eq!(keys_of::<Settings>(), ["plain", "match"]);
        assert_eq!(keys_of::<Checked>(), ["plain", "match"]);
        assert_eq!(keys_of::<String>(), [""; 0]);
    }
}
