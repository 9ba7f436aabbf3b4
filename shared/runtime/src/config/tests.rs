//! Right and wrong configurations, as operators see them.

use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sections {
    redis: RedisConfig,
    log: LogConfig,
    spool: Spool,
    source: Vec<Source>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Spool {
    size: ByteSize,
    port: u16,
    names: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Source {
    name: String,
    host: String,
    token: String,
}

impl Settings for Sections {
    fn check(&self) -> Result<(), KeyError> {
        self.redis.check()?;
        checked::unique_names(
            "source",
            self.source.iter().map(|source| source.name.as_str()),
        )
    }
}

fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Sections, String> {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("agent.toml");
    fs::write(&file, text).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    load_from(Some(&file), Path::new("/nowhere"), environment)
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string().replace(file.to_str().unwrap(), "FILE"))
}

fn error_of(text: &str, environment: &[(&str, &str)]) -> String {
    load_text(text, environment).unwrap_err()
}

#[test]
fn without_a_file_the_defaults_hold() {
    let loaded: Loaded<Sections> = load_from(None, Path::new("/nowhere"), []).unwrap();
    assert_eq!(
        loaded,
        Loaded {
            config: Sections::default(),
            from: None
        }
    );
}

#[test]
fn the_standard_file_is_read_where_it_exists() {
    let directory = TempDir::new().unwrap();
    let standard = directory.path().join("agent.toml");
    fs::write(&standard, "[spool]\nport = 7").unwrap();
    let loaded: Loaded<Sections> = load_from(None, &standard, []).unwrap();
    assert_eq!((loaded.config.spool.port, loaded.from), (7, Some(standard)));
}

#[test]
fn a_named_file_has_to_exist() {
    let missing = Path::new("/nowhere/agent.toml");
    let error = load_from::<Sections>(Some(missing), missing, []).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot read the configuration /nowhere/agent.toml")
    );
}

#[test]
fn the_file_overrides_defaults_and_the_environment_overrides_the_file() {
    let text = "[redis]\nurl = 'redis://file'\nconnect_timeout = '2m 5s'\n[spool]\nsize = '64MB'";
    let settings = load_text(
        text,
        &[
            ("RACKWATCH_REDIS__URL", "redis://variable"),
            ("RACKWATCH_REDIS_URL", "redis://short"),
            ("RACKWATCH_SPOOL__PORT", "8"),
            ("RACKWATCH_SPOOL__NAMES", "['a', 'b']"),
            ("RACKWATCH_LOG__FORMAT", "json"),
            ("RACKWATCH_LOG", "debug"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!(settings.redis.url.expose(), "redis://variable");
    assert_eq!(settings.redis.connect_timeout, Duration::from_secs(125));
    assert_eq!(settings.spool.size, ByteSize(64_000_000));
    assert_eq!(
        (settings.spool.port, settings.spool.names),
        (8, vec!["a".into(), "b".into()])
    );
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn the_short_form_of_the_address_works() {
    let settings = load_text("", &[("RACKWATCH_REDIS_URL", "redis://short")]).unwrap();
    assert_eq!(settings.redis.url.expose(), "redis://short");
}

#[test]
fn text_that_looks_like_a_number_needs_no_quotes() {
    let settings = load_text(
        "",
        &[
            ("RACKWATCH_REDIS__USERNAME", "123"),
            ("RACKWATCH_REDIS__PASSWORD", "\"4\""),
        ],
    )
    .unwrap();
    assert_eq!(settings.redis.username.as_deref(), Some("123"));
    assert_eq!(settings.redis.password.unwrap().expose(), "\"4\"");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_known_ones() {
    let error = error_of("[redis]\nurl = 'redis://a'\nurll = 1", &[]);
    assert!(
        error.starts_with("unknown key redis.urll in FILE line 3 column 1, expected one of url, "),
        "{error}"
    );
}

#[test]
fn an_unknown_key_of_a_variable_names_the_variable() {
    for variable in ["RACKWATCH_REDIS__URLL", "RACKWATCH_REDISS__URL"] {
        let error = error_of("[redis]\nurl = 'redis://a'", &[(variable, "5")]);
        assert!(
            error.contains(&format!("in the environment variable {variable}")),
            "{error}"
        );
    }
}

#[test]
fn a_wrong_value_is_shown_with_its_place() {
    let error = error_of("[redis]\n\nconnect_timeout = '10 parsecs'", &[]);
    assert!(
        error.starts_with("wrong value of redis.connect_timeout in FILE line 3 column 19: "),
        "{error}"
    );
    assert!(error.ends_with("(seen: \"10 parsecs\")"), "{error}");
    assert!(error.contains("such as \"500ms\""), "{error}");
    assert!(error_of("redis.connect_timeout = 10", &[]).contains("with its unit"));
    let error = error_of("[[source]]\nname = 'a'\n[[source]]\nhost = 5", &[]);
    assert!(
        error.starts_with("wrong value of source[1].host in FILE line 4 column 8"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_of_a_variable_is_shown_as_written() {
    let error = error_of("", &[("RACKWATCH_SPOOL__PORT", "99999")]);
    let expected = "wrong value of spool.port in the environment variable \
                    RACKWATCH_SPOOL__PORT: expected a whole number from 0 to 65535 (seen: 99999)";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn broken_toml_names_the_place_and_does_not_quote_the_line() {
    let error = error_of("[redis]\npassword = 'hunter2", &[]);
    assert!(error.starts_with("FILE line 2 column "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn no_error_shows_a_secret() {
    for (text, environment) in [
        ("redis.password = 4711", vec![]),
        ("[[source]]\ntoken = 4711", vec![]),
        ("redis.password = ['4711']", vec![]),
        ("redis.url = ['redis://a:4711@b']", vec![]),
        ("redis.connect_timeout = 'redis://a:4711@b'", vec![]),
        ("", vec![("RACKWATCH_LOG__FORMAT", "redis://a:4711@b")]),
        ("redis = 'redis://a:4711@b'", vec![]),
        (
            "redis = 'redis://a:4711@b'",
            vec![("RACKWATCH_REDIS__URL", "redis://a:4711@b")],
        ),
    ] {
        let error = error_of(text, &environment);
        assert!(!error.contains("4711"), "{error}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let text = "[redis]\nurl = 'redis://a:4711@b'\npassword = '4711'";
    let settings = load_text(text, &[]).unwrap();
    assert!(!format!("{settings:?}").contains("4711"));
}

#[test]
fn a_repeated_name_is_an_error_with_both_places() {
    let error = error_of(
        "[[source]]\nname = 'a'\n[[source]]\nname = 'b'\n[[source]]\nname = 'a'",
        &[],
    );
    assert_eq!(
        error,
        "wrong value of source[2].name in FILE line 6 column 8: source[0].name in FILE line 2 \
         column 8 has the same value: give each its own (seen: \"a\")"
    );
}

#[test]
fn a_variable_cannot_set_a_list_of_tables() {
    for variable in ["RACKWATCH_SOURCE", "RACKWATCH_SOURCE__0__HOST"] {
        let error = error_of("[[source]]\nhost = 'a'", &[(variable, "[]")]);
        let expected = format!(
            "the environment variable {variable} sets [[source]]: variables cannot set tables in lists, \
             so write [[source]] in the configuration file and unset the variable"
        );
        assert_eq!(error, expected);
    }
    load_text("", &[("RACKWATCH_SOURCES", "[]")]).unwrap();
}

#[test]
fn a_password_is_set_once() {
    let error = error_of(
        "[redis]\npassword_file = '/a'",
        &[("RACKWATCH_REDIS__PASSWORD", "4711")],
    );
    assert_eq!(
        error,
        "wrong key redis.password_file in FILE line 2 column 1: `password` is set too: remove one of them"
    );
}

#[test]
fn a_client_certificate_has_its_key() {
    let error = error_of("[redis]\nclient_cert_file = '/a'", &[]);
    assert_eq!(
        error,
        "missing key redis.client_key_file in FILE line 1 column 2, client_cert_file needs it"
    );
    let both = "[redis]\nsentinel_password = '4711'\nsentinel_password_file = '/a'";
    let error = error_of(both, &[]);
    assert!(error.contains("redis.sentinel_password_file"), "{error}");
    assert!(!error.contains("4711"), "{error}");
}

#[test]
fn errors_are_in_plain_english() {
    for (text, expected) in [
        (
            "redis = 5",
            "redis in FILE line 1 column 9: expected a table (seen: 5)",
        ),
        (
            "source = 5",
            "source in FILE line 1 column 10: expected a list in brackets (seen: 5)",
        ),
        (
            "redis.username = 5",
            "FILE line 1 column 18: expected text in quotes (seen: 5)",
        ),
        (
            "redis.tls_insecure = 'no'",
            "column 22: expected true or false (seen: \"no\")",
        ),
        (
            "log.format = 'xml'",
            "column 14: expected `text` or `json` (seen: \"xml\")",
        ),
        (
            "log.format = 5",
            "column 14: expected text in quotes (seen: 5)",
        ),
        (
            "spool.port = -1",
            "expected a whole number from 0 to 65535 (seen: -1)",
        ),
        ("redis.ca_file = 5", "expected text in quotes (seen: 5)"),
    ] {
        let error = error_of(text, &[]);
        assert!(error.ends_with(expected), "{error}");
    }
}
