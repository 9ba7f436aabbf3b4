//! The source over SNMP: presets and numbers of one's own, against net-snmp's daemon.

use std::net::UdpSocket;

use rackwatch_agent::config::TargetConfig;
use rackwatch_agent::source::snmp::{Secrets, Snmp, SnmpError};
use rackwatch_agent::source::{Lanes, Source};
use rackwatch_core::device::Role;
use rackwatch_testing::SnmpAgent;

use super::{lines, only_stands_in};

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

fn target(port: u16, more: &str) -> TargetConfig {
    let text = format!(
        "name = \"inrow-r12\"\ntype = \"snmp\"\naddress = \"127.0.0.1\"\nport = {port}\nrack = \"R12\"\n{more}"
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
    Snmp::new(&target(port, more), secrets, Lanes::new(4)).unwrap()
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
            "what says nothing is not there"
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
    // More than one answer holds.
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
async fn numbers_of_ones_own_have_scale_unit_and_role() {
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
async fn who_is_not_let_in_finds_nothing() {
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
        only_stands_in(&mut source).await;
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
    // Somebody who takes everything and says nothing.
    let _silent = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let faults = lines(&mut source).await;
    assert_eq!(faults.len(), 2);
    assert!(
        faults.iter().all(|text| text.ends_with("!timeout")),
        "{faults:?}"
    );
}

#[test]
fn what_cannot_be_meant_is_said() {
    let new = |more: &str, secrets| Snmp::new(&target(161, more), secrets, Lanes::new(1));
    let nobody = new("preset = \"apc-inrow\"\n", Secrets::default());
    assert!(matches!(nobody, Err(SnmpError::Nobody(_))));
    assert!(matches!(
        new("", community("x")),
        Err(SnmpError::Nothing(_))
    ));
    let oid = new(
        "[[sensors]]\noid = \"iso.3\"\nname = \"x\"\n",
        community("x"),
    );
    let error = oid.unwrap_err().to_string();
    assert!(error.contains("\"inrow-r12\": oid = \"iso.3\""), "{error}");
}
