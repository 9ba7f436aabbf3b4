//! The program with targets over the network: what it logs about those that refuse access, and what it never logs.
#![cfg(target_os = "linux")]

use std::fs;

use rackwatch_testing::{IpmiBmc, Program, RedfishServer, RedisServer, SnmpAgent};

use crate::site::SOON;

/// A wrong secret, which must appear on no command line and in no log.
const WRONG: &str = "sesame-open-0815";

#[test]
fn refused_access_is_logged_with_a_remedy_and_without_secrets() {
    let redis = RedisServer::start().unwrap();
    let redfish = RedfishServer::start("{}").unwrap();
    let bmc = IpmiBmc::start().unwrap();
    let snmp = SnmpAgent::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{WRONG}\n")).unwrap();
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
        target("stranger", "redfish", redfish.port(), ""),
        target(
            "locked",
            "redfish",
            redfish.port(),
            &format!("ca_file = '{ca}'"),
        ),
        target("modern", "ipmi", bmc.port(), ""),
        target("old", "ipmi", bmc.port(), "cipher_suite = 3"),
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
            "stranger",
            "certificate is not trusted: set ca_file to its authority",
        ),
        (
            "locked",
            "wrong user or password (401): check user and password_file",
        ),
        (
            "modern",
            "does not offer cipher suite 17: set cipher_suite = 3",
        ),
        ("old", "wrong user or password (user, password_file)"),
        ("cooler", ": check user, password_file"),
    ] {
        program.wait_stderr_contains(remedy, SOON).unwrap();
        let output = program.stderr();
        let line = output.lines().find(|line| line.contains(remedy)).unwrap();
        assert!(line.contains(name), "{line}");
    }
    let lines = fs::read(format!("/proc/{}/cmdline", program.id())).unwrap();
    assert!(!String::from_utf8_lossy(&lines).contains(WRONG));
    program.interrupt().unwrap();
    let code = program.wait_exit(SOON).unwrap().code();
    assert_eq!(code, Some(0), "{}", program.stderr());
    assert!(!(program.stderr() + &program.stdout()).contains(WRONG));
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
