//! `devices`: devices as described by agents.

mod changes;

use clap::{Args, Subcommand};
use std::collections::BTreeSet;

use rackwatch_core::alert::{AlertKind, Severity};
use rackwatch_core::device::{Description, DeviceId, HardwareLimits};
use rackwatch_core::episode::Episode;
use rackwatch_core::keys;
use rackwatch_core::stored::StoredValue as _;
use rackwatch_core::subject::Subject;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::RedisResult;
use serde::Serialize;

use super::common::{Common, Failure, Outcome};
use super::output::{json_text, print};
use super::server;
use super::table::Table;
use super::unattended::remark_if_unattended;
use crate::incidents::episodes;
use crate::incidents::site::SiteReader;
use crate::notify::line::format_duration;

/// List known devices and inventory changes, or forget devices
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices list")]
pub(super) struct DevicesArgs {
    #[command(subcommand)]
    command: DevicesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DevicesCommand {
    List(ListArgs),
    Changes(changes::ChangesArgs),
    Forget(ForgetArgs),
}

/// List known devices with their place, limits and state
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Forget removed devices, and end their alerts; a device that is still read reappears
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices forget inlet-B07-1 inlet-B07-2")]
struct ForgetArgs {
    #[command(flatten)]
    common: Common,
    /// Ids of the devices
    #[arg(value_name = "DEVICE", required_unless_present = "leaving", value_parser = DeviceId::new)]
    devices: Vec<DeviceId>,
    /// Forget every device whose agent has stopped or removed it
    #[arg(long, conflicts_with = "devices")]
    leaving: bool,
    /// With --leaving, only devices of this agent
    #[arg(long, requires = "leaving", value_name = "NAME")]
    agent: Option<String>,
}

/// One known device, as printed.
#[derive(Debug, Serialize)]
struct DeviceRow {
    device_id: String,
    /// Worst severity of its open alerts.
    open: Option<Severity>,
    /// An alert says that it, its target or its agent sends no data.
    absent: bool,
    #[serde(flatten)]
    description: Option<Description>,
    /// Reason why its description is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Runs the chosen subcommand.
pub(super) async fn run(args: DevicesArgs) -> Outcome {
    match args.command {
        DevicesCommand::List(args) => list(args).await,
        DevicesCommand::Changes(args) => changes::list(args).await,
        DevicesCommand::Forget(args) => forget(args).await,
    }
}

async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut site = SiteReader::default();
    site.refresh(&mut connection).await?;
    let known = scan_hash(&mut connection, keys::DEVICES).await?.into_iter();
    let open = episodes::all(&mut connection).await?;
    let worst = episodes::worst(&open);
    let absent = Absent::of(&open);
    let known: Vec<DeviceRow> = known
        .map(|(device_id, json)| {
            let (mut description, refused) = match Description::from_json(&json) {
                Ok(description) => (Some(description), None),
                Err(error) => (None, Some(error.comparison(Description::VERSION))),
            };
            let device = DeviceId::new(&device_id).ok();
            if let (Some(description), Some(device)) = (&mut description, &device) {
                site.site().place(device, description);
            }
            DeviceRow {
                absent: absent.covers(&device_id, description.as_ref()),
                open: device.and_then(|device| worst.get(&device).copied()),
                device_id,
                description,
                refused,
            }
        })
        .collect();
    if args.json {
        print(&json_text(&known)?);
    } else if known.is_empty() {
        print("No known devices: start an agent, or send readings with a plain client\n");
    } else {
        print(&table(&known));
    }
    // Without a collector there are no alerts, and "ok" would be a guess.
    remark_if_unattended(&mut connection).await?;
    Ok(())
}

/// The subjects of alerts that no data arrives.
struct Absent(BTreeSet<Subject>);

impl Absent {
    fn of(open: &[Episode]) -> Self {
        let open = open.iter();
        let absent = open.filter(|episode| episode.kind == AlertKind::NoData);
        Self(absent.map(|episode| episode.subject.clone()).collect())
    }

    fn covers(&self, device: &str, description: Option<&Description>) -> bool {
        let named = |name: &str, subject: fn(&str) -> Subject| {
            !name.is_empty() && self.0.contains(&subject(name))
        };
        let itself = DeviceId::new(device).map(Subject::from);
        itself.is_ok_and(|itself| self.0.contains(&itself))
            || description.is_some_and(|known| {
                named(&known.agent, Subject::agent) || named(&known.target, Subject::target)
            })
    }
}

fn table(known: &[DeviceRow]) -> String {
    let headings = [
        "device", "role", "rack", "u", "source", "agent", "every", "limits", "state",
    ];
    let mut table = Table::new(&headings, headings.len());
    for DeviceRow {
        device_id,
        open,
        absent,
        description,
        refused,
    } in known
    {
        table.push(match (description, refused) {
            (Some(described), _) => row(device_id, (*open, *absent), described),
            (None, reason) => {
                let reason = reason.as_deref().unwrap_or_default();
                vec![device_id.clone(), format!("description refused: {reason}")]
            }
        });
    }
    table.text()
}

fn row(
    device_id: &str,
    (open, absent): (Option<Severity>, bool),
    described: &Description,
) -> Vec<String> {
    let or_dash = |text: Option<&str>| match text {
        None | Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
    };
    let every = described.interval;
    let every = match every.subsec_millis() {
        0 => format_duration(every),
        _ => humantime::format_duration(every).to_string(),
    };
    vec![
        device_id.to_owned(),
        described.role.to_string(),
        or_dash(described.rack.as_deref()),
        or_dash(described.u.map(|u| u.to_string()).as_deref()),
        or_dash(Some(&described.source)),
        or_dash(Some(&described.agent)),
        every,
        or_dash(Some(&limits(&described.limits))),
        state(open, absent, described),
    ]
}

/// Returns the state, such as `critical, but its board says ok`. Without data the last severity stands.
fn state(open: Option<Severity>, absent: bool, described: &Description) -> String {
    let gone = match (described.leaving, absent) {
        (true, _) => Some("leaving"),
        (false, true) => Some("no data"),
        (false, false) => None,
    };
    if let Some(gone) = gone {
        return match open.filter(|severity| *severity > Severity::Info) {
            Some(severity) => format!("{gone}, was {severity}"),
            None => gone.to_owned(),
        };
    }
    let ours = open.map_or("ok", Severity::name);
    match episodes::disagrees(described.verdict, open) {
        Some(board) => format!("{ours}, but its board says {}", board.name()),
        None => ours.to_owned(),
    }
}

/// Returns the limits of the hardware, such as `low 5, high 38, critical 42`.
fn limits(limits: &HardwareLimits) -> String {
    let named = [
        ("low", limits.low_critical),
        ("high", limits.high_warning),
        ("critical", limits.high_critical),
    ];
    let words = named
        .into_iter()
        .filter_map(|(name, at)| Some(format!("{name} {}", at?)));
    words.collect::<Vec<_>>().join(", ")
}

/// Returns the devices that are marked as leaving, of one agent or of all.
async fn leaving(connection: &mut Connection, agent: Option<&str>) -> RedisResult<Vec<DeviceId>> {
    let known = scan_hash(connection, keys::DEVICES).await?.into_iter();
    let mut leaving: Vec<_> = known
        .filter_map(|(id, json)| {
            let described = Description::from_json(&json).ok()?;
            let is_meant = agent.is_none_or(|agent| described.agent == agent);
            DeviceId::new(&id)
                .ok()
                .filter(|_| described.leaving && is_meant)
        })
        .collect();
    leaving.sort_unstable();
    Ok(leaving)
}

async fn forget(args: ForgetArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut devices = args.devices;
    if args.leaving {
        devices = leaving(&mut connection, args.agent.as_deref()).await?;
    }
    if devices.is_empty() {
        print("No device is leaving\n");
        return Ok(());
    }
    let mut all = redis::pipe();
    for device in &devices {
        all.hdel(keys::DEVICES, device.as_str());
    }
    all.incr(keys::DEVICES_REVISION, 1);
    let mut removed: Vec<u64> = all.query_async(&mut connection).await?;
    removed.truncate(devices.len());
    let mut unknown = Vec::new();
    for (device, removed) in devices.iter().zip(removed) {
        if removed == 0 {
            unknown.push(device.as_str());
        } else {
            print(&format!(
                "Forgot {device}: its readings expire as usual, and it reappears if an agent still reads it\n"
            ));
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown = unknown.join(", ");
    Err(Failure::Failed(anyhow::anyhow!(
        "no such device: {unknown}; list devices with `rackwatch-collector devices list`"
    )))
}
