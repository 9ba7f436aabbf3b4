//! A simulated BMC: `OpenIPMI`'s `ipmi_sim`, with four temperature sensors.

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::KillOnDrop;
use crate::wait::wait_until_sync;

/// Name, entity, instance, value, and what is too warm, too hot, far too hot.
const SENSORS: [(&str, u8, u8, u8, [u8; 3]); 4] = [
    ("CPU1 Temp", 3, 1, 52, [80, 90, 95]),
    ("CPU2 Temp", 3, 2, 55, [80, 90, 95]),
    ("Inlet Temp", 55, 1, 24, [35, 40, 45]),
    ("Exhaust Temp", 55, 2, 38, [60, 70, 75]),
];

/// A BMC on a UDP port of its own, ended when dropped. Its user is `admin`, and it knows cipher suite 3 only.
#[derive(Debug)]
pub struct IpmiBmc {
    port: u16,
    folder: TempDir,
    _process: KillOnDrop,
}

impl IpmiBmc {
    /// The password of its user.
    pub const PASSWORD: &str = "test-password";

    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When `ipmi_sim` or `ipmitool` is not installed (Debian: `openipmi`, `ipmitool`), or it does not answer.
    pub fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("state"))?;
        fs::write(path("lan.conf"), lan(port))?;
        fs::write(path("bmc.emu"), emulation(&folder)?)?;
        let mut command = Command::new("ipmi_sim");
        command.arg("-c").arg(path("lan.conf"));
        command.arg("-f").arg(path("bmc.emu"));
        command.arg("-s").arg(path("state"));
        // Without a console it would end with its standard input.
        command.arg("-n");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let process = KillOnDrop::spawn(&mut command)
            .context("start ipmi_sim (Debian's package openipmi)")?;
        let bmc = Self {
            port,
            folder,
            _process: process,
        };
        wait_until_sync(Duration::from_secs(30), "the BMC answers", || {
            bmc.answers().then_some(())
        })?;
        Ok(bmc)
    }

    /// Returns its UDP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the temperature of a sensor by its name. The BMC follows within half a second.
    ///
    /// # Errors
    ///
    /// When there is no such sensor, or its file cannot be written.
    pub fn set(&self, sensor: &str, degrees: u8) -> Result<()> {
        let number = SENSORS.iter().position(|(name, ..)| *name == sensor);
        let number = number.with_context(|| format!("there is no sensor {sensor}"))?;
        fs::write(value_file(&self.folder, number), format!("{degrees}\n"))?;
        Ok(())
    }

    fn answers(&self) -> bool {
        let port = self.port.to_string();
        let ping = Command::new("ipmitool")
            .args([
                "-I",
                "lanplus",
                "-H",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "admin",
            ])
            .args([
                "-C", "3", "-L", "user", "-N", "1", "-R", "1", "-E", "mc", "info",
            ])
            .env("IPMI_PASSWORD", Self::PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        ping.is_ok_and(|status| status.success())
    }
}

fn value_file(folder: &TempDir, number: usize) -> PathBuf {
    folder.path().join(format!("{number}.value"))
}

fn lan(port: u16) -> String {
    let methods = "none md2 md5 straight";
    let allowed: String = ["callback", "user", "operator", "admin"]
        .map(|level| format!("    allowed_auths_{level} {methods}\n"))
        .concat();
    format!(
        "name \"bmc\"\nset_working_mc 0x20\n  startlan 1\n    addr 127.0.0.1 {port}\n    priv_limit admin\n\
         {allowed}    guid 0123456789abcdef0123456789abcdef\n  endlan\n  \
         user 2 true \"admin\" \"{}\" admin 10 {methods}\n",
        IpmiBmc::PASSWORD
    )
}

/// Returns the configuration of the BMC, in the format of `ipmi_sim_cmd(5)`.
fn emulation(folder: &TempDir) -> Result<String> {
    let mut text = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n\
                    sel_enable 0x20 1000 0x0a\n"
        .to_owned();
    for (index, (name, entity, instance, value, [warm, hot, worst])) in SENSORS.iter().enumerate() {
        let (number, file) = (index + 1, value_file(folder, index));
        fs::write(&file, format!("{value}\n"))?;
        let file = file.display();
        writeln!(
            text,
            "sensor_add 0x20 0 {number} 0x01 0x01 poll 500 file \"{file}\""
        )?;
        writeln!(text, "sensor_set_value 0x20 0 {number} {value} 0")?;
        writeln!(
            text,
            "sensor_set_threshold 0x20 0 {number} settable 111000 {worst} {hot} {warm} 00 00 00"
        )?;
        let events = ["000111111000000"; 4].join(" ");
        writeln!(
            text,
            "sensor_set_event_support 0x20 0 {number} enable scanning per-state {events}"
        )?;
        let record = record(number, name, *entity, *instance, [*warm, *hot, *worst])?;
        let bytes: Vec<_> = record.iter().map(|byte| format!("0x{byte:02x}")).collect();
        writeln!(text, "main_sdr_add 0x20 {}", bytes.join(" "))?;
    }
    text.push_str("mc_enable 0x20\n");
    Ok(text)
}

/// Encodes a full sensor record (IPMI 2.0, table 43-1) of a temperature in unsigned whole degrees.
fn record(
    number: usize,
    name: &str,
    entity: u8,
    instance: u8,
    [warm, hot, worst]: [u8; 3],
) -> Result<Vec<u8>> {
    let number = u8::try_from(number)?;
    // Owner and number, what it belongs to, how it is set up, type and kind of events.
    let mut body = vec![0x20, 0, number, entity, instance, 0x7f, 0x68, 0x01, 0x01];
    // Which events and thresholds there are.
    body.extend([0x80, 0x7a, 0x80, 0x7a, 0x38, 0x38]);
    // Units (degrees C), linear, one times the raw value.
    body.extend([0, 1, 0, 0, 1, 0, 0, 0, 0, 0]);
    // No nominal values; the raw range.
    body.extend([0, 0, 0, 0, 0xff, 0]);
    // Thresholds from the worst in, those below, hysteresis.
    body.extend([worst, hot, warm, 0, 0, 0, 2, 2, 0, 0, 0]);
    let length = u8::try_from(name.len())?;
    // 8-bit ASCII.
    body.push(0xc0 | length);
    body.extend(name.bytes());
    let mut record = vec![0, 0, 0x51, 0x01, u8::try_from(body.len())?];
    record.extend(body);
    Ok(record)
}
