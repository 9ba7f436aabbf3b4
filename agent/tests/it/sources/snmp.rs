//! The source over SNMP: presets and configured sensors, against net-snmp's daemon.

use std::net::UdpSocket;

use rackwatch_agent::source::Source;
use rackwatch_agent::source::lanes::Lanes;
use rackwatch_agent::source::snmp::{Secrets, Snmp};
use rackwatch_agent::source::targets::{TargetConfig, TargetKind};
use rackwatch_core::device::Role;
use rackwatch_testing::SnmpAgent;

use super::{assert_only_placeholder, lines};

const POWERNET: &str = "1.3.6.1.4.1.318.1.1";

fn device(numbers: &[(&str, i64)]) -> SnmpAgent {
    let all: Vec<_> = numbers
        .iter()
        .map(|(oid, number)| (format!("{POWERNET}.{oid}"), *number))
        .collect();
    let all: Vec<_> = all
        .iter()
        .map(|(oid, number)| (oid.as_str(), *number))
        .collect();
    SnmpAgent::start(&all).unwrap()
}

fn inrow() -> SnmpAgent {
    device(&[
        ("13.3.2.2.2.7.0", 243),
        ("13.3.2.2.2.9.0", 187),
        ("13.3.2.2.2.11.0", -1),
    ])
}

/// Parses a target whose secrets the test passes on its own.
fn target(port: u16, more: &str) -> TargetConfig {
    let access = if more.contains("user = ") {
        "password_file = \"/unused\"\n"
    } else {
        "community_file = \"/unused\"\n"
    };
    let text = format!(
        "name = \"inrow-r12\"\ntype = \"snmp\"\naddress = \"127.0.0.1\"\nport = {port}\nrack = \"R12\"\n\
         {access}{more}"
    );
    toml::from_str(&text).unwrap()
}

fn community(text: &str) -> Secrets {
    Secrets {
        community: Some(text.to_owned().into()),
        ..Secrets::default()
    }
}

fn user(password: &str, privacy: &str) -> Secrets {
    Secrets {
        password: Some(password.to_owned().into()),
        privacy: Some(privacy.to_owned().into()),
        ..Secrets::default()
    }
}

fn source(port: u16, more: &str, secrets: Secrets) -> Snmp {
    let config = target(port, more);
    let TargetKind::Snmp(settings) = &config.kind else {
        panic!("another kind: {config:?}")
    };
    Snmp::new(&config.common, settings, secrets, Lanes::new(4)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cooler_is_read_by_v2c_and_by_v3() {
    let agent = inrow();
    let preset = "preset = \"apc-inrow\"\n";
    let v3 = format!("{preset}user = \"{}\"\n", SnmpAgent::USER);
    for (more, secrets) in [
        (preset, community(SnmpAgent::COMMUNITY)),
        (v3.as_str(), user(SnmpAgent::PASSWORD, SnmpAgent::PRIVACY)),
    ] {
        let mut source = source(agent.port(), more, secrets);
        let found = source.discover().await;
        let roles: Vec<_> = found.iter().map(|f| f.description.role).collect();
        assert_eq!(
            roles,
            [Role::Inlet, Role::Supply],
            "a value without a temperature is not a device"
        );
        assert_eq!(found[0].description.rack.as_deref(), Some("R12"));
        assert_eq!(
            lines(&mut source).await,
            [
                "inlet-inrow-r12-rack_inlet 24.3",
                "supply-inrow-r12-supply_air 18.7"
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_walked() {
    let mut numbers = vec![
        ("26.10.2.2.1.8.1".to_owned(), 254),
        ("26.10.2.2.1.9.1".to_owned(), 4),
        ("26.10.2.2.1.8.2".to_owned(), -1),
        ("26.10.2.2.1.9.2".to_owned(), 1),
    ];
    // More rows than one response holds.
    numbers.extend((3..60).map(|row| (format!("26.10.2.2.1.8.{row}"), 200 + row)));
    let numbers: Vec<_> = numbers.iter().map(|(oid, n)| (oid.as_str(), *n)).collect();
    let agent = device(&numbers);
    let secrets = community(SnmpAgent::COMMUNITY);
    let mut source = source(agent.port(), "preset = \"apc-pdu2\"\n", secrets);
    assert_eq!(source.discover().await.len(), 58);
    let read = lines(&mut source).await;
    assert!(
        read.contains(&"ambient-inrow-r12-probe_1 25.4".to_owned()),
        "{read:?}"
    );
    assert!(
        read.contains(&"ambient-inrow-r12-probe_59 25.9".to_owned()),
        "{read:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_sensors_have_scale_unit_and_role() {
    let agent = device(&[("9.1.0", 770), ("9.2.0", 255)]);
    let more = format!(
        "[[sensors]]\noid = \"{POWERNET}.9.1.0\"\nname = \"door\"\nrole = \"inlet\"\nscale = 0.1\nunit = \"F\"\n\
         [[sensors]]\noid = \".{POWERNET}.9.2.0\"\nname = \"shelf\"\ninvalid = [255]\n\
         [[sensors]]\noid = \"{POWERNET}.9.3.0\"\nname = \"gone\"\n"
    );
    let mut source = source(agent.port(), &more, community(SnmpAgent::COMMUNITY));
    assert_eq!(source.discover().await.len(), 3);
    assert_eq!(
        lines(&mut source).await,
        [
            "inlet-inrow-r12-door 25",
            "other-inrow-r12-gone !no_reading",
            "other-inrow-r12-shelf !no_reading"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_access_only_the_placeholder_is_discovered() {
    let agent = inrow();
    let more = format!(
        "preset = \"apc-inrow\"\ndeadline = \"2s\"\nuser = \"{}\"\n",
        SnmpAgent::USER
    );
    for secrets in [
        community("public"),
        user("wrong-password", SnmpAgent::PRIVACY),
        user(SnmpAgent::PASSWORD, "wrong-password"),
    ] {
        let mut source = source(agent.port(), &more, secrets);
        assert!(!format!("{source:?}").contains("wrong"));
        assert_only_placeholder(&mut source).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_gone_is_a_fault_of_each_sensor() {
    let agent = inrow();
    let port = agent.port();
    let more = "preset = \"apc-inrow\"\ndeadline = \"1s\"\n";
    let mut source = source(port, more, community(SnmpAgent::COMMUNITY));
    assert_eq!(source.discover().await.len(), 2);
    drop(agent);
    // A socket that accepts everything and never responds.
    let _silent = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let faults = lines(&mut source).await;
    assert_eq!(faults.len(), 2);
    assert!(
        faults.iter().all(|text| text.ends_with("!timeout")),
        "{faults:?}"
    );
}

#[test]
fn missing_credentials_are_an_error() {
    let config = target(161, "preset = \"apc-inrow\"\n");
    let TargetKind::Snmp(settings) = &config.kind else {
        panic!("another kind: {config:?}")
    };
    let opened = Snmp::new(&config.common, settings, Secrets::default(), Lanes::new(1));
    let error = opened.unwrap_err().to_string();
    assert!(error.contains("community_file"), "{error}");
}
