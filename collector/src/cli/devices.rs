//! `devices`: what agents have said of their devices, and how to forget one.

mod moves;

use clap::{Args, Subcommand};
use rackwatch_core::alert::Severity;
use rackwatch_core::device::{Description, DeviceId, HardwareLimits};
use rackwatch_core::keys;
use rackwatch_runtime::redis::scan_hash;
use serde::Serialize;

use super::table::Table;
use super::{Common, Failure, Outcome, print, server, usage};
use crate::incidents::episodes;
use crate::incidents::site::SiteReader;
use crate::notify::line::length;

/// List the devices that are known, or forget some
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices list")]
pub struct DevicesArgs {
    #[command(subcommand)]
    command: DevicesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DevicesCommand {
    List(ListArgs),
    Moves(ListMovesArgs),
    Forget(ForgetArgs),
}

/// List the devices that are known
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices list --json")]
struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List what stands, or is read, elsewhere than before, the newest first
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices moves")]
struct ListMovesArgs {
    #[command(flatten)]
    common: Common,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    last: u16,
    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,
}

/// Forget devices that are gone; one that is still read comes back by itself
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices forget inlet-B07-1 inlet-B07-2")]
struct ForgetArgs {
    #[command(flatten)]
    common: Common,
    /// Which devices
    #[arg(value_name = "DEVICE", required = true, value_parser = DeviceId::new)]
    devices: Vec<DeviceId>,
}

/// A device as it is listed.
#[derive(Debug, Serialize)]
struct Known {
    device_id: String,
    /// The worst that is open for it.
    open: Option<Severity>,
    #[serde(flatten)]
    description: Option<Description>,
}

/// Does what was asked.
pub async fn run(args: DevicesArgs) -> Outcome {
    match args.command {
        DevicesCommand::List(args) => list(args).await,
        DevicesCommand::Moves(args) => moves::list(args).await,
        DevicesCommand::Forget(args) => forget(args).await,
    }
}

async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut site = SiteReader::default();
    site.refresh(&mut connection).await?;
    let known = scan_hash(&mut connection, keys::DEVICES).await?.into_iter();
    let open = episodes::all(&mut connection).await?;
    let worst = episodes::worst(&open);
    let known: Vec<Known> = known
        .map(|(device_id, json)| {
            let mut description = Description::from_json(&json).ok();
            let device = DeviceId::new(&device_id).ok();
            if let (Some(description), Some(device)) = (&mut description, &device) {
                site.site().place(device, description);
            }
            Known {
                open: device.and_then(|device| worst.get(&device).copied()),
                device_id,
                description,
            }
        })
        .collect();
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&known)?));
    } else if known.is_empty() {
        print("no devices are known: no agent has described any yet\n");
    } else {
        print(&table(&known));
    }
    Ok(())
}

fn table(known: &[Known]) -> String {
    let headings = [
        "device", "role", "rack", "u", "source", "agent", "every", "limits", "state",
    ];
    let mut table = Table::new(&headings, headings.len());
    for Known {
        device_id,
        open,
        description,
    } in known
    {
        table.push(match description {
            Some(described) => row(device_id, *open, described),
            None => vec![
                device_id.clone(),
                "what is stored of it cannot be read".to_owned(),
            ],
        });
    }
    table.text()
}

fn row(device_id: &str, open: Option<Severity>, described: &Description) -> Vec<String> {
    let or_dash = |text: Option<&str>| match text {
        None | Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
    };
    let every = described.interval;
    let every = match every.subsec_millis() {
        0 => length(every),
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
        state(open, described),
    ]
}

/// Such as `critical, but its board says ok`.
fn state(open: Option<Severity>, described: &Description) -> String {
    if described.leaving {
        return "leaving".to_owned();
    }
    let ours = open.map_or("ok", Severity::name);
    match episodes::disagrees(described.verdict, open) {
        Some(board) => format!("{ours}, but its board says {}", board.name()),
        None => ours.to_owned(),
    }
}

/// What the hardware reports, such as `low 5, high 38, critical 42`.
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

async fn forget(args: ForgetArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut all = redis::pipe();
    for device in &args.devices {
        all.hdel(keys::DEVICES, device.as_str());
    }
    all.incr(keys::DEVICES_REVISION, 1);
    let mut removed: Vec<u64> = all.query_async(&mut connection).await?;
    removed.truncate(args.devices.len());
    let mut unknown = Vec::new();
    for (device, removed) in args.devices.iter().zip(removed) {
        if removed == 0 {
            unknown.push(device.as_str());
        } else {
            print(&format!(
                "forgot {device}: its readings stay as long as they are kept, and an agent that \
                 still reads it will describe it again\n"
            ));
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown = unknown.join(", ");
    Err(Failure::Failed(anyhow::anyhow!(
        "not known: {unknown}; `rackwatch-collector devices list` shows what is"
    )))
}
