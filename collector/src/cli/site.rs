//! `site`: the site file, which places devices in racks, rows and rooms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::name::printable;
use rackwatch_core::site::{RawSite, Site, StoredSite};
use rackwatch_core::stored::encode;
use rackwatch_runtime::redis::{Connection, scan_hash};
use serde_json::json;

use super::common::{Common, Failure, Outcome, operator_name, usage};
use super::output::{json_text, print, remark};
use super::server;
use super::table::Table;
use crate::incidents::site::{self, SiteInRedis};
use crate::notify::line;

/// Describe where devices are and what cools them: check, apply or show the site file
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-collector site check site.toml\n  \
    rackwatch-collector site apply site.toml\n  rackwatch-collector site show"
)]
pub(super) struct SiteArgs {
    #[command(subcommand)]
    command: SiteCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SiteCommand {
    Check(FileArgs),
    Apply(ApplyArgs),
    Show(ShowArgs),
}

/// Check a site file, and preview where it places the known devices
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector site check site.toml")]
struct FileArgs {
    #[command(flatten)]
    common: Common,
    /// Path of the site file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Apply a site file, and show where it places the known devices
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector site apply site.toml")]
struct ApplyArgs {
    #[command(flatten)]
    common: Common,
    /// Path of the site file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Replace a stored site even if this version cannot read it
    #[arg(long)]
    replace: bool,
}

/// Print the applied site as a site file
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector site show > site.toml")]
struct ShowArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Size limit of a site file in bytes. Thousands of racks need less; a larger file is a mistake.
const MAX_BYTES: u64 = 4 << 20;

/// Runs the chosen subcommand.
pub(super) async fn run(args: SiteArgs) -> Outcome {
    match args.command {
        SiteCommand::Check(args) => check(args).await,
        SiteCommand::Apply(args) => apply(args).await,
        SiteCommand::Show(args) => show(args).await,
    }
}

fn read(file: &Path) -> anyhow::Result<(RawSite, Site)> {
    let context = || format!("cannot read the site file {}", file.display());
    let size = std::fs::metadata(file).with_context(context)?.len();
    anyhow::ensure!(
        size <= MAX_BYTES,
        "site file {} is too large: {size} bytes, {MAX_BYTES} allowed",
        file.display()
    );
    let text = std::fs::read_to_string(file).with_context(context)?;
    let raw: RawSite = toml::from_str(&text).with_context(context)?;
    let site = Site::new(&raw).with_context(context)?;
    Ok((raw, site))
}

async fn check(args: FileArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, site) = read(&args.file).map_err(usage)?;
    let (_, mut connection) = match server::open(&config.redis).await {
        Ok(opened) => opened,
        // The file itself can be checked without Redis.
        Err(Failure::Failed(error)) => {
            print(&format!("{} is valid\n", args.file.display()));
            remark(&format!(
                "warning: cannot preview the placement of devices: {error:#}"
            ));
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    let placement = Placement::of(&site, &mut connection).await?;
    if args.json {
        print(&json_text(&placement.document())?);
    } else {
        print(&format!(
            "{} is valid\n\n{}",
            args.file.display(),
            placement.text()
        ));
    }
    Ok(())
}

async fn apply(args: ApplyArgs) -> Outcome {
    let config = args.common.load()?;
    let (raw, site) = read(&args.file).map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    if !args.replace && site::read(&mut connection).await? == SiteInRedis::Refused {
        return Err(Failure::Failed(anyhow::anyhow!(
            "cannot read the stored site: its format or its version is not understood; use the version of Rackwatch that wrote \
             it, or replace the site with `site apply --replace`"
        )));
    }
    let now = server::now(&mut connection).await?;
    let mut set = redis::pipe();
    set.atomic();
    if args.replace && !has_number(&mut connection).await? {
        set.cmd("HDEL").arg(keys::SITE).arg("version").ignore();
    }
    set.cmd("HSET")
        .arg(keys::SITE)
        .arg("site")
        .arg(encode(&StoredSite { site: raw }))
        .arg("by")
        .arg(operator_name())
        .arg("at_ms")
        .arg(now.millis())
        .ignore()
        .cmd("HINCRBY")
        .arg(keys::SITE)
        .arg("version")
        .arg(1);
    let (version,): (u64,) = set.query_async(&mut connection).await?;
    // After the site is stored, so that collectors which notice the revision find the new site.
    let mut revision = redis::cmd("INCR");
    revision.arg(keys::DEVICES_REVISION);
    revision.exec_async(&mut connection).await?;
    let placement = Placement::of(&site, &mut connection).await?;
    if args.json {
        let mut document = placement.document();
        document["version"] = json!(version);
        print(&json_text(&document)?);
    } else {
        print(&format!(
            "Applied site version {version}: collectors use it within 30 seconds\n\n{}",
            placement.text()
        ));
    }
    Ok(())
}

/// Returns whether the revision of the stored site can be counted up.
async fn has_number(connection: &mut Connection) -> redis::RedisResult<bool> {
    let mut get = redis::cmd("HGET");
    get.arg(keys::SITE).arg("version");
    let version: Option<String> = get.query_async(connection).await?;
    Ok(version.as_deref().and_then(site::version_fault).is_none())
}

async fn show(args: ShowArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let applied = match site::read(&mut connection).await? {
        SiteInRedis::Applied(applied) => applied,
        SiteInRedis::Refused => {
            return Err(Failure::Failed(anyhow::anyhow!(
                "cannot read the stored site: its format is of another version; use the version that applied it"
            )));
        }
        SiteInRedis::Missing => {
            print(if args.json {
                "null\n"
            } else {
                "# no site applied\n"
            });
            return Ok(());
        }
    };
    if args.json {
        print(&json_text(&applied)?);
        return Ok(());
    }
    let at = rackwatch_core::time::Timestamp::from_millis(applied.at_ms).unwrap_or_default();
    let at = line::time(at, &jiff::tz::TimeZone::system());
    let heading = format!(
        "# version {}, applied by {} at {at}\n\n",
        applied.version,
        printable(&applied.by)
    );
    print(&(heading + &toml::to_string(&applied.site)?));
    Ok(())
}

/// Racks of the known devices.
struct Placement {
    /// Number of devices and names of coolers, by (room, row, rack).
    racks: BTreeMap<(String, String, String), (usize, String)>,
    unplaced: Vec<String>,
}

impl Placement {
    /// Places every known device.
    async fn of(site: &Site, connection: &mut Connection) -> redis::RedisResult<Self> {
        let mut placement = Self {
            racks: BTreeMap::new(),
            unplaced: Vec::new(),
        };
        for (id, json) in scan_hash(connection, keys::DEVICES).await? {
            let (Ok(device), Ok(known)) = (DeviceId::new(&id), Description::from_json(&json))
            else {
                continue;
            };
            let spot = site.spot(&device, Some(&known));
            if spot.rack.is_empty() {
                placement.unplaced.push(id);
            } else {
                let place = (spot.room, spot.row, spot.rack);
                let coolers = spot.coolers.join(", ");
                placement.racks.entry(place).or_insert((0, coolers)).0 += 1;
            }
        }
        Ok(placement)
    }

    fn text(&self) -> String {
        let mut table = Table::new(&["room", "row", "rack", "coolers", "devices"], 4);
        let or_dash = |text: &String| match text.as_str() {
            "" => "-".to_owned(),
            text => text.to_owned(),
        };
        for ((room, row, rack), (count, coolers)) in &self.racks {
            table.push(vec![
                or_dash(room),
                or_dash(row),
                rack.clone(),
                or_dash(coolers),
                count.to_string(),
            ]);
        }
        let unplaced = match self.unplaced.as_slice() {
            [] => "Every known device is in a rack\n".to_owned(),
            some => format!("Without a rack: {}\n", some.join(", ")),
        };
        if self.racks.is_empty() {
            return unplaced;
        }
        format!("{}\n{unplaced}", table.text())
    }

    fn document(&self) -> serde_json::Value {
        let racks = self.racks.iter().map(|((room, row, rack), (count, coolers))| {
            json!({ "room": room, "row": row, "rack": rack, "coolers": coolers, "devices": count })
        });
        json!({ "racks": racks.collect::<Vec<_>>(), "unplaced": self.unplaced })
    }
}
