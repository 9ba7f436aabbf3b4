//! The program with targets over the network: what it says of those that do not let it in, and what it never says.
#![cfg(target_os = "linux")]

use std::fs;

use rackwatch_testing::{IpmiBmc, Program, RedfishServer, RedisServer, SnmpAgent};

use crate::site::SOON;

/// Written to no command line and no log, however wrong it is.
const WRONG: &str = "sesame-open-0815";

#[test]
fn who_is_not_let_in_is_told_what_to_do_and_no_secret_shows() {
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
            "its certificate is not trusted: name its authority in ca_file",
        ),
        (
            "locked",
            "wrong user or password (401): see user and password_file",
        ),
        (
            "modern",
            "does not offer cipher suite 17: set cipher_suite = 3",
        ),
        ("old", "wrong user or password (user, password_file)"),
        ("cooler", ": see user, password_file"),
    ] {
        program.wait_stderr_contains(remedy, SOON).unwrap();
        let said = program.stderr();
        let line = said.lines().find(|line| line.contains(remedy)).unwrap();
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
fn a_secret_that_cannot_be_read_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    let text = "[[targets]]\nname = \"bmc7\"\ntype = \"redfish\"\naddress = \"10.0.0.1\"\n\
                password_file = \"/nowhere/password\"\n";
    fs::write(&file, text).unwrap();
    let args = ["run", "--config", file.to_str().unwrap()];
    let agent = env!("CARGO_BIN_EXE_rackwatch-agent");
    let mut program = Program::spawn(agent, &args, &[]).unwrap();
    assert_ne!(program.wait_exit(SOON).unwrap().code(), Some(0));
    let said = program.stderr();
    assert!(
        said.contains("secret of target \"bmc7\" in /nowhere/password"),
        "{said}"
    );
}
