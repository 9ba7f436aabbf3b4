//! Tests of admission, rate limits and the access file.

use std::net::Ipv4Addr;

use super::*;
use crate::web::names::new_user;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| {
            let name = header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        })
        .collect()
}

fn on_loopback() -> Access {
    Access::new(&WebConfig::default()).unwrap()
}

/// Returns access rules with a reader and an operator, and their tokens.
fn with_names() -> (Access, [String; 2], tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access");
    let [(viewer, one), (operator, other)] = [("eve", false), ("ann", true)]
        .map(|(name, is_operator)| new_user(name, is_operator).unwrap());
    std::fs::write(&path, format!("# users\n\n{one}{other}")).unwrap();
    let config = WebConfig {
        listen: ([0, 0, 0, 0], 8080).into(),
        access_file: Some(path),
        ..WebConfig::default()
    };
    (Access::new(&config).unwrap(), [viewer, operator], folder)
}

fn status(admitted: Result<Admitted, Denied>) -> u16 {
    admitted.map_or_else(|denied| denied.status.as_u16(), |_| 200)
}

#[test]
fn addresses_beyond_loopback_need_an_access_file() {
    let mut config = WebConfig {
        listen: ([0, 0, 0, 0], 8080).into(),
        ..WebConfig::default()
    };
    let error = Access::new(&config).unwrap_err().to_string();
    assert!(
        error.contains("0.0.0.0:8080") && error.contains("access_file"),
        "{error}"
    );
    config.allow_unauthenticated = true;
    assert!(Access::new(&config).unwrap().names.is_none());
}

/// Returns access rules with these keys of `[web]`, behind a proxy at 10.0.0.1.
fn behind_proxy(keys: &str) -> Access {
    let all = format!("listen = '0.0.0.0:8080'\ntrusted_proxies = ['10.0.0.1']\n{keys}");
    Access::new(&toml::from_str(&all).unwrap()).unwrap()
}

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

#[test]
fn wrong_tokens_are_counted_for_the_client_of_a_trusted_proxy() {
    let (_, _, folder) = with_names();
    let file = folder.path().join("access");
    let access = behind_proxy(&format!("access_file = '{}'", file.display()));
    let guess = |peer: IpAddr, reported: &str| {
        let wrong = headers(&[
            ("authorization", "Bearer guess"),
            ("x-forwarded-for", reported),
        ]);
        status(access.admit(&Method::GET, &wrong, peer))
    };
    for _ in 0..MAX_WRONG_TOKENS {
        assert_eq!(guess(PROXY, "198.51.100.7"), 401);
    }
    assert_eq!(
        guess(PROXY, "1.2.3.4, 198.51.100.7"),
        429,
        "an invented address"
    );
    assert_eq!(guess(PROXY, "198.51.100.8"), 401, "another client");
    // Another host cannot choose whom its guesses are counted for.
    let host = IpAddr::from([192, 0, 2, 1]);
    for n in 0..MAX_WRONG_TOKENS {
        assert_eq!(guess(host, &format!("203.0.113.{n}")), 401);
    }
    assert_eq!(guess(host, "203.0.113.99"), 429);
}

#[test]
fn only_a_trusted_proxy_names_users() {
    let keys = |level: &str| format!("user_header = 'X-Remote-User'\nuser_access = '{level}'");
    let (viewers, operators) = (keys("viewer"), keys("operator"));
    let ann = headers(&[("x-remote-user", "ann")]);
    let access = behind_proxy(&operators);
    let admitted = access.admit(&Method::POST, &ann, PROXY).unwrap();
    assert_eq!(admitted.name.as_deref(), Some("ann"));
    assert_eq!(status(access.admit(&Method::GET, &ann, HERE)), 403);
    assert_eq!(
        status(access.admit(&Method::GET, &headers(&[]), PROXY)),
        403
    );
    let mut two = ann.clone();
    two.append("x-remote-user", "eve".parse().unwrap());
    assert_eq!(status(access.admit(&Method::GET, &two, PROXY)), 400);
    let empty = headers(&[("x-remote-user", " ")]);
    assert_eq!(status(access.admit(&Method::GET, &empty, PROXY)), 400);

    let access = behind_proxy(&viewers);
    assert_eq!(status(access.admit(&Method::GET, &ann, PROXY)), 200);
    assert_eq!(status(access.admit(&Method::POST, &ann, PROXY)), 403);
}

#[test]
fn tokens_and_users_of_a_proxy_stand_side_by_side() {
    let (_, [viewer, _], folder) = with_names();
    let file = folder.path().join("access");
    let access = behind_proxy(&format!(
        "access_file = '{}'\nuser_header = 'X-Remote-User'\nuser_access = 'viewer'",
        file.display()
    ));
    let bearer = format!("Bearer {viewer}");
    let token = headers(&[("authorization", &bearer), ("x-remote-user", "ann")]);
    let name = |peer| access.admit(&Method::GET, &token, peer).unwrap().name;
    assert_eq!(name(PROXY).as_deref(), Some("ann"));
    assert_eq!(name(HERE).as_deref(), Some("eve"), "the user of the token");
    let none = headers(&[("x-remote-user", "ann")]);
    assert_eq!(status(access.admit(&Method::GET, &none, HERE)), 401);
}

#[test]
fn foreign_host_names_are_refused() {
    let keys = "public_url = 'https://racks.example.org/a'\nhosts = ['Collector']";
    let access = Access::new(&toml::from_str(keys).unwrap()).unwrap();
    let machine = rackwatch_runtime::host::host_name().unwrap();
    for (host, expected) in [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("10.0.0.1", 200),
        ("racks.example.org", 200),
        ("RACKS.example.org.:443", 200),
        ("collector:8080", 200),
        (&machine, 200),
        ("evil.example:8080", 403),
        ("racks.example.org.evil.example", 403),
        ("", 403),
    ] {
        let headers = headers(&[("host", host)]);
        assert_eq!(
            status(access.admit(&Method::GET, &headers, HERE)),
            expected,
            "{host}"
        );
    }
}

#[test]
fn reading_and_acting_are_two_rights() {
    let (access, [viewer, operator], _folder) = with_names();
    let basic = |token: &str| format!("Basic {}", BASE64.encode(format!("user:{token}")));
    for (method, authorization, expected) in [
        (Method::GET, String::new(), 401),
        (Method::GET, format!("Bearer {viewer}"), 200),
        (Method::GET, basic(&viewer), 200),
        (Method::GET, "Bearer nonsense".to_owned(), 401),
        (Method::GET, "Basic !".to_owned(), 401),
        (Method::POST, format!("Bearer {viewer}"), 403),
        (Method::DELETE, basic(&viewer), 403),
        (Method::POST, format!("Bearer {operator}"), 200),
    ] {
        let headers = headers(&[("authorization", &authorization), ("host", "localhost")]);
        let admitted = access.admit(&method, &headers, HERE);
        assert_eq!(status(admitted), expected, "{method} {authorization}");
    }
    let headers = headers(&[("authorization", &format!("Bearer {operator}"))]);
    let admitted = access.admit(&Method::GET, &headers, HERE).unwrap();
    assert_eq!(admitted.name.as_deref(), Some("ann"));
}

#[test]
fn cross_site_actions_are_refused() {
    let access = on_loopback();
    let here = ("host", "127.0.0.1:8080");
    let json = ("content-type", "application/json; charset=utf-8");
    let length = ("content-length", "2");
    for (pairs, expected) in [
        (vec![here, json, length], 200),
        (
            vec![here, json, length, ("origin", "http://127.0.0.1:8080")],
            200,
        ),
        (
            vec![here, json, length, ("origin", "http://evil.example")],
            403,
        ),
        (vec![here, json, length, ("origin", "null")], 403),
        (
            vec![here, json, length, ("sec-fetch-site", "cross-site")],
            403,
        ),
        (vec![here, length, ("content-type", "text/plain")], 403),
        (vec![here, length], 403),
        (vec![here], 200),
    ] {
        let admitted = access.admit(&Method::POST, &headers(&pairs), HERE);
        assert_eq!(status(admitted), expected, "{pairs:?}");
    }
}

#[test]
fn wrong_tokens_and_actions_are_rate_limited() {
    let (access, [_, operator], _folder) = with_names();
    for _ in 0..MAX_WRONG_TOKENS {
        let wrong = headers(&[("authorization", "Bearer guess")]);
        assert_eq!(status(access.admit(&Method::GET, &wrong, HERE)), 401);
    }
    let wrong = headers(&[("authorization", "Bearer guess")]);
    assert_eq!(status(access.admit(&Method::GET, &wrong, HERE)), 429);
    let right = headers(&[("authorization", &format!("Bearer {operator}"))]);
    let locked_out = "the right token is never locked out";
    assert_eq!(
        status(access.admit(&Method::GET, &right, HERE)),
        200,
        "{locked_out}"
    );
    let elsewhere = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(status(access.admit(&Method::GET, &right, elsewhere)), 200);
    for _ in 0..MAX_ACTIONS {
        assert_eq!(status(access.admit(&Method::POST, &right, elsewhere)), 200);
    }
    assert_eq!(status(access.admit(&Method::POST, &right, elsewhere)), 429);
}

#[test]
fn a_network_of_ipv6_counts_as_one_address() {
    let (access, _, _folder) = with_names();
    let wrong = headers(&[("authorization", "Bearer guess")]);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    for n in 0..MAX_WRONG_TOKENS {
        let from = address(&format!("2001:db8:0:1::{n:x}"));
        assert_eq!(status(access.admit(&Method::GET, &wrong, from)), 401);
    }
    let same = address("2001:db8:0:1:ffff::1");
    assert_eq!(status(access.admit(&Method::GET, &wrong, same)), 429);
    let other = address("2001:db8:0:2::1");
    assert_eq!(status(access.admit(&Method::GET, &wrong, other)), 401);
}

#[test]
fn errors_of_the_access_file_name_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access");
    let config = WebConfig {
        access_file: Some(path.clone()),
        ..WebConfig::default()
    };
    assert!(matches!(
        Access::new(&config),
        Err(AccessError::Names(NamesError::Unreadable { .. }))
    ));
    for (text, at) in [
        ("", None),
        ("ann operator sha256:12\n", Some(1)),
        ("\nann own x\n", Some(2)),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Access::new(&config).unwrap_err().to_string();
        match at {
            None => assert!(error.contains("has no users"), "{error}"),
            Some(line) => assert!(error.contains(&format!("access:{line}: ")), "{error}"),
        }
    }
}

#[test]
fn requests_are_rate_limited() {
    let access = on_loopback();
    let headers = headers(&[("host", "localhost")]);
    for _ in 0..MAX_REQUESTS {
        assert_eq!(status(access.admit(&Method::GET, &headers, HERE)), 200);
    }
    assert_eq!(status(access.admit(&Method::GET, &headers, HERE)), 429);
    let elsewhere = IpAddr::from([127, 0, 0, 2]);
    assert_eq!(status(access.admit(&Method::GET, &headers, elsewhere)), 200);
}
