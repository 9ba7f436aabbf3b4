//! The agent's log when network targets refuse access: a remedy for each, and no secret.
#![cfg(target_os = "linux")]

use std::fs;

use rackwatch_testing::{IpmiBmc, Program, RedfishServer, RedisServer, SnmpAgent};

use crate::site::SOON;

/// A wrong secret, which must not appear on a command line or in the log.
const WRONG_SECRET: &str = "sesame-open-0815";

#[test]
fn refused_access_is_logged_with_a_remedy_and_without_secrets() {
    let redis = RedisServer::start().unwrap();
    let redfish = RedfishServer::start("{}").unwrap();
    let bmc = IpmiBmc::start().unwrap();
    let snmp = SnmpAgent::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{WRONG_SECRET}\n")).unwrap();
    let (secret, ca) = (secret.display(), redfish.ca());
    let ca = ca.display();
    let target = |name: &str, kind: &str, port: u16, more: &str| {
        format!(
            "[[targets]]\nname = \"{name}\"\ntype = \"{kind}\"\naddress = \"127.0.0.1\"\nport = {port}\n\
             user = \"monitor\"\npassword_file = '{secret}'\ndeadline = \"3s\"\n{more}\n"
        )
    };
    let config = [
        format!(
            "[redis]\nurl = \"{}\"\n[sources.hwmon]\nenabled = false\n",
            redis.url()
        ),
        target("untrusted", "redfish", redfish.port(), ""),
        target(
            "trusted",
            "redfish",
            redfish.port(),
            &format!("ca_file = '{ca}'"),
        ),
        target("suite-17", "ipmi", bmc.port(), ""),
        target("suite-3", "ipmi", bmc.port(), "cipher_suite = 3"),
        target("cooler", "snmp", snmp.port(), "preset = \"apc-inrow\""),
    ]
    .concat();
    let file = folder.path().join("agent.toml");
    fs::write(&file, config).unwrap();
    let args = ["run", "--config", file.to_str().unwrap()];
    let agent = env!("CARGO_BIN_EXE_rackwatch-agent");
    let mut program = Program::spawn(agent, &args, &[]).unwrap();
    for (name, remedy) in [
        (
            "untrusted",
            "certificate is not trusted: set ca_file to its CA certificate",
        ),
        (
            "trusted",
            "wrong user or password (401): check user and password_file",
        ),
        (
            "suite-17",
            "does not offer cipher suite 17: set cipher_suite = 3",
        ),
        (
            "suite-3",
            "cannot open a session: check address, user, password_file and privilege",
        ),
        ("cooler", ": check user, password_file"),
    ] {
        program.wait_stderr_contains(remedy, SOON).unwrap();
        let output = program.stderr();
        let line = output.lines().find(|line| line.contains(remedy)).unwrap();
        assert!(line.contains(name), "{line}");
    }
    let command_line = fs::read(format!("/proc/{}/cmdline", program.id())).unwrap();
    assert!(!String::from_utf8_lossy(&command_line).contains(WRONG_SECRET));
    program.interrupt().unwrap();
    let code = program.wait_exit(SOON).unwrap().code();
    assert_eq!(code, Some(0), "{}", program.stderr());
    assert!(!(program.stderr() + &program.stdout()).contains(WRONG_SECRET));
}

#[test]
fn an_unreadable_secret_prevents_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let text = "[[targets]]\nname = \"bmc7\"\ntype = \"redfish\"\naddress = \"10.0.0.1\"\n\
                password_file = \"/nowhere/password\"\n";
    fs::write(&file, text).unwrap();
    let args = ["run", "--config", file.to_str().unwrap()];
    let agent = env!("CARGO_BIN_EXE_rackwatch-agent");
    let mut program = Program::spawn(agent, &args, &[]).unwrap();
    assert_ne!(program.wait_exit(SOON).unwrap().code(), Some(0));
    let output = program.stderr();
    assert!(
        output.contains("secret of target \"bmc7\" in /nowhere/password"),
        "{output}"
    );
}
