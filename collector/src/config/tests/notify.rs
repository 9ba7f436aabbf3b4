//! Every key of every notifier type, on entries of its own type and of the others.
//!
//! The entries are those of the example file, so that a new type is tested once it is documented there.

use rackwatch_runtime::config::tagged::Kinds;

use super::*;

fn kinds() -> Kinds<CommonConfig, NotifierKind> {
    NotifierKind::kinds()
}

/// Returns the type of each notifier in the example file, and its keys except for name, type and routes.
fn entries() -> Vec<(String, String)> {
    let text = without_alternatives(&uncommented(&fs::read_to_string(example()).unwrap()));
    let table: Table = toml::from_str(&text).unwrap();
    let entry = |entry: &Value| {
        let mut keys = entry.as_table().unwrap().clone();
        let kind = keys["type"].as_str().unwrap().to_owned();
        keys.retain(|key, _| !["name", "type", "routes"].contains(&key));
        (kind, toml::to_string(&keys).unwrap())
    };
    table["notify"]
        .as_array()
        .unwrap()
        .iter()
        .map(entry)
        .collect()
}

/// Reads an entry `ops` of type `kind` from a file, where the entry begins in line 1 and `keys` in line 4.
fn read(kind: &str, keys: &str) -> Result<NotifierConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.toml");
    let text = format!("[[notify]]\nname = 'ops'\ntype = '{kind}'\n{keys}\n");
    fs::write(&path, text).unwrap();
    let loaded = config::load_from::<CollectorConfig>(Some(&path), Path::new("/nowhere"), []);
    match loaded {
        Ok(mut loaded) => Ok(loaded.config.notify.remove(0)),
        Err(error) => Err(error
            .to_string()
            .replace(&path.display().to_string(), "FILE")),
    }
}

#[test]
fn the_example_has_an_entry_of_each_type() {
    let entries = entries();
    let types: Vec<_> = entries.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, kinds().names().collect::<Vec<_>>());
    for (kind, keys) in &entries {
        let config = read(kind, keys).unwrap();
        assert_eq!(config.name(), "ops");
        assert_eq!(config.common.timeout, Duration::from_secs(10));
    }
}

#[test]
fn a_key_of_another_type_is_an_error_that_names_its_types() {
    let kinds = kinds();
    let names: Vec<_> = kinds.names().collect();
    let mut tried = 0;
    for (kind, entry) in &entries() {
        let others = names.iter().flat_map(|name| kinds.keys(name));
        for key in others.filter(|key| !kinds.keys(kind).contains(*key)) {
            let error = read(kind, &format!("{key} = 'x'\n{entry}")).unwrap_err();
            assert!(
                error.contains(&format!("notify[0].{key} in FILE line 4 ")),
                "{error}"
            );
            for owner in names.iter().filter(|name| kinds.keys(name).contains(key)) {
                assert!(error.contains(&format!("\"{owner}\"")), "{error}");
            }
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn a_misspelt_key_is_an_error_that_lists_the_keys_of_the_type() {
    for (kind, entry) in &entries() {
        let error = read(kind, &format!("unknown_key = 'x'\n{entry}")).unwrap_err();
        assert!(
            error.contains("unknown key notify[0].unknown_key in FILE line 4 "),
            "{error}"
        );
        let kinds = kinds();
        let known = kinds.common_keys().iter().chain(kinds.keys(kind));
        for key in known {
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}

#[test]
fn a_missing_key_names_the_file_the_line_and_the_notifier() {
    for (kind, keys, missing) in [
        ("webhook", "", "url"),
        ("slack", "", "url"),
        ("pagerduty", "", "key_file"),
        ("alertmanager", "", "url"),
        (
            "alertmanager",
            "url = 'http://localhost'\nuser = 'a'",
            "password_file",
        ),
        (
            "alertmanager",
            "url = 'http://localhost'\npassword_file = '/a'",
            "user",
        ),
        (
            "email",
            "from = 'a@example.org'\nto = ['a@example.org']",
            "host",
        ),
        (
            "email",
            "host = 'localhost'\nto = ['a@example.org']",
            "from",
        ),
        ("email", "host = 'localhost'\nfrom = 'a@example.org'", "to"),
    ] {
        let error = read(kind, keys).unwrap_err();
        let expected = format!("missing key notify[0].{missing} of \"ops\" in FILE line 1 ");
        assert!(error.contains(&expected), "{kind}: {error}");
    }
}

#[test]
fn a_wrong_value_names_the_file_the_line_and_the_key() {
    let mail = "host = 'localhost'\nfrom = 'a@example.org'";
    for (kind, keys, expected) in [
        (
            "email",
            "to = []\n".to_owned() + mail,
            "notify[0].to in FILE line 4 column 6: expected at least one recipient",
        ),
        (
            "email",
            "to = ['a@example.org', 'Ann <a@example.org>']\n".to_owned() + mail,
            "notify[0].to in FILE line 4 column 6: a@example.org is there twice: remove one of them",
        ),
        (
            "email",
            "host = 'localhost'\nfrom = 'ops'\nto = ['a@example.org']".to_owned(),
            "notify[0].from in FILE line 5 column 8: \"ops\" is not a valid email address",
        ),
        (
            "email",
            format!(
                "encryption = 'none'\nuser = 'a'\npassword_file = '/a'\nto = ['a@example.org']\n{mail}"
            ),
            "notify[0].encryption in FILE line 4 column 14: expected \"starttls\" or \"tls\": passwords are never sent",
        ),
        (
            "slack",
            "url = 'http://localhost'\n[[notify.routes]]\nseverity = 'bad'".to_owned(),
            "notify[0].routes[0].severity in FILE line 6 ",
        ),
        (
            "pigeon",
            String::new(),
            "notify[0].type in FILE line 3 column 8: expected one of webhook, ",
        ),
    ] {
        let error = read(kind, &keys).unwrap_err();
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}

#[test]
fn a_name_is_given_once() {
    let keys = "url = 'http://localhost'\n[[notify]]\nname = 'ops'\ntype = 'slack'\nurl = 'http://localhost'";
    assert_eq!(
        read("webhook", keys).unwrap_err(),
        "wrong value of notify[1].name in FILE line 6 column 8: notify[0].name in FILE line 2 column 8 has the \
         same value: give each its own (seen: \"ops\")"
    );
}

#[test]
fn an_address_is_set_once() {
    for kind in ["webhook", "slack", "pagerduty", "alertmanager"] {
        let key = if kind == "pagerduty" {
            "key_file = '/k'\n"
        } else {
            ""
        };
        let keys = format!("url_file = '/a'\nurl = 'http://localhost'\n{key}");
        assert_eq!(
            read(kind, &keys).unwrap_err(),
            "wrong key notify[0].url_file in FILE line 4 column 1: `url` is set too: remove one of them"
        );
    }
    let heartbeat =
        "url = 'http://localhost'\n[heartbeat]\nurl = 'http://localhost'\nurl_file = '/a'";
    assert_eq!(
        read("webhook", heartbeat).unwrap_err(),
        "wrong key heartbeat.url_file in FILE line 7 column 1: `url` is set too: remove one of them"
    );
}

#[test]
fn storm_is_a_key_of_chats_and_mail() {
    assert_eq!(
        read("webhook", "storm = 5\nurl = 'http://localhost'").unwrap_err(),
        "wrong key notify[0].storm in FILE line 4 column 1: `storm` is a key of type = \"slack\" or \"email\", \
         this entry has type = \"webhook\""
    );
}

#[test]
fn a_wrong_route_names_the_file_the_line_and_the_key() {
    for (key, expected) in [
        (
            "hours = '8-18'",
            "hours in FILE line 6 column 9: use the form 08:00-18:00 (seen: \"8-18\")",
        ),
        (
            "hours = '08:00-08:00'",
            "hours in FILE line 6 column 9: the hours begin and end at the same time: remove the key to match all day \
             (seen: \"08:00-08:00\")",
        ),
        (
            "zone = 'Atlantis'",
            "zone in FILE line 6 column 8: unknown time zone, use a name such as Europe/Berlin (seen: \"Atlantis\")",
        ),
        (
            "racks = []",
            "racks in FILE line 6 column 9: expected at least one item: remove the key to match all (seen: an array)",
        ),
        (
            "days = []",
            "days in FILE line 6 column 8: expected at least one item: remove the key to match all (seen: an array)",
        ),
    ] {
        let error = read(
            "slack",
            &format!("url = 'http://localhost'\n[[notify.routes]]\n{key}"),
        );
        assert_eq!(
            error.unwrap_err(),
            format!("wrong value of notify[0].routes[0].{expected}")
        );
    }
}

#[test]
fn a_login_is_a_password_or_a_token() {
    let mail = "host = 'localhost'\nfrom = 'a@example.org'\nto = ['a@example.org']";
    for (keys, expected) in [
        (
            "user = 'a'",
            "missing key notify[0].password_file of \"ops\" in FILE line 1 ",
        ),
        (
            "oauth_token_file = '/t'",
            "missing key notify[0].user of \"ops\" in FILE line 1 ",
        ),
        (
            "oauth_token_file = '/t'\nuser = 'a'\npassword_file = '/p'",
            "wrong key notify[0].oauth_token_file in FILE line 4 column 1: `password_file` is set too",
        ),
        (
            "oauth_token_url = 'https://a.example'\nuser = 'a'\noauth_token_file = '/p'",
            "wrong key notify[0].oauth_token_url in FILE line 4 column 1: `oauth_token_file` is set too",
        ),
        (
            "oauth_token_url = 'https://a.example'\nuser = 'a'",
            "missing key notify[0].oauth_client_id of \"ops\"",
        ),
        (
            "oauth_token_url = 'https://a.example'\nuser = 'a'\noauth_client_id = 'b'",
            "missing key notify[0].oauth_refresh_token_file of \"ops\"",
        ),
        (
            "oauth_token_url = 'http://a.example'\nuser = 'a'\noauth_client_id = 'b'\noauth_client_secret_file = '/s'",
            "notify[0].oauth_token_url in FILE line 4 column 19: expected an https:// address",
        ),
        (
            "oauth_scope = 'x'\nuser = 'a'\npassword_file = '/p'",
            "missing key notify[0].oauth_token_url of \"ops\"",
        ),
    ] {
        let error = read("email", &format!("{keys}\n{mail}")).unwrap_err();
        assert!(error.contains(expected), "{expected}\n{error}");
    }
}
