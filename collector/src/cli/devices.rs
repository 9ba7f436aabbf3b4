//! `devices`: devices as described by agents.

mod changes;
mod list;
mod recent;
mod state;

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_runtime::redis::{Connection, scan_hash};
use redis::RedisResult;

use super::common::{Common, Failure, Outcome};
use super::output::print;
use super::server;
use crate::health::undescribed;

/// List known devices and inventory changes, or forget devices
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices list")]
pub(super) struct DevicesArgs {
    #[command(subcommand)]
    command: DevicesCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum DevicesCommand {
    List(list::ListArgs),
    Changes(changes::ChangesArgs),
    Forget(ForgetArgs),
}

/// Forget removed devices, and end their alerts; a device that is still read reappears
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices forget inlet-B07-1 inlet-B07-2")]
struct ForgetArgs {
    #[command(flatten)]
    common: Common,
    /// Ids of the devices
    #[arg(value_name = "DEVICE", required_unless_present = "withdrawn", value_parser = DeviceId::new)]
    devices: Vec<DeviceId>,
    /// Forget every withdrawn device: its agent has stopped, or has removed it
    #[arg(long, conflicts_with = "devices")]
    withdrawn: bool,
    /// With --withdrawn, only devices of this agent
    #[arg(long, requires = "withdrawn", value_name = "NAME")]
    agent: Option<String>,
}

/// Runs the chosen subcommand.
pub(super) async fn run(args: DevicesArgs) -> Outcome {
    match args.command {
        DevicesCommand::List(args) => list::list(args).await,
        DevicesCommand::Changes(args) => changes::list(args).await,
        DevicesCommand::Forget(args) => forget(args).await,
    }
}

/// Returns the withdrawn devices, of one agent or of all.
async fn withdrawn(connection: &mut Connection, agent: Option<&str>) -> RedisResult<Vec<DeviceId>> {
    let known = scan_hash(connection, keys::DEVICES).await?.into_iter();
    let mut withdrawn: Vec<_> = known
        .filter_map(|(id, json)| {
            let described = Description::from_json(&json).ok()?;
            let is_meant = agent.is_none_or(|agent| described.agent == agent);
            DeviceId::new(&id)
                .ok()
                .filter(|_| described.leaving && is_meant)
        })
        .collect();
    withdrawn.sort_unstable();
    Ok(withdrawn)
}

/// Takes devices out of those that nothing describes. Returns the ones that were among them.
async fn forget_undescribed(
    connection: &mut Connection,
    devices: &[DeviceId],
) -> RedisResult<BTreeSet<DeviceId>> {
    let meant: BTreeSet<&str> = devices.iter().map(DeviceId::as_str).collect();
    let all = undescribed::all(connection).await?.into_iter();
    let all: Vec<_> = all
        .filter(|one| meant.contains(one.device.as_str()))
        .collect();
    if !all.is_empty() {
        let mut remove = redis::pipe();
        for one in &all {
            let member = keys::undescribed(&one.device, &one.agent);
            remove.zrem(keys::UNDESCRIBED, member);
        }
        let _removed: Vec<u64> = remove.query_async(connection).await?;
    }
    Ok(all.into_iter().map(|one| one.device).collect())
}

async fn forget(args: ForgetArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut devices = args.devices;
    if args.withdrawn {
        devices = withdrawn(&mut connection, args.agent.as_deref()).await?;
    }
    if devices.is_empty() {
        print("No device is withdrawn\n");
        return Ok(());
    }
    let mut all = redis::pipe();
    for device in &devices {
        all.hdel(keys::DEVICES, device.as_str());
    }
    all.incr(keys::DEVICES_REVISION, 1);
    let mut removed: Vec<u64> = all.query_async(&mut connection).await?;
    removed.truncate(devices.len());
    let undescribed = forget_undescribed(&mut connection, &devices).await?;
    let mut unknown = Vec::new();
    for (device, removed) in devices.iter().zip(removed) {
        if removed == 0 && !undescribed.contains(device) {
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
