//! `site`: where devices stand, said once for all agents.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::site::{RawSite, Site, StoredSite};
use rackwatch_core::stored::encode;
use rackwatch_runtime::redis::{Connection, scan_hash};
use serde_json::json;

use super::table::Table;
use super::{Common, Failure, Outcome, print, remark, server, usage, who};
use crate::incidents::site::{self, SiteInRedis};
use crate::notify::line;

/// Say where devices stand and what cools them: check a site file, apply it, show what holds
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  rackwatch-collector site check site.toml\n  \
    rackwatch-collector site apply site.toml\n  rackwatch-collector site show"
)]
pub struct SiteArgs {
    #[command(subcommand)]
    command: SiteCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SiteCommand {
    Check(FileArgs),
    Apply(ApplyArgs),
    Show(ShowArgs),
}

/// Check a site file, and show where it would put the devices that are known
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector site check site.toml")]
struct FileArgs {
    #[command(flatten)]
    common: Common,
    /// The site file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Apply a site file, and show where it puts the devices that are known
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector site apply site.toml")]
struct ApplyArgs {
    #[command(flatten)]
    common: Common,
    /// The site file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Replace a stored site that this version does not understand
    #[arg(long)]
    replace: bool,
}

/// Show the site that holds, as a file
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector site show > site.toml")]
struct ShowArgs {
    #[command(flatten)]
    common: Common,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A larger file is none that people write.
const LARGEST: u64 = 4 << 20;

/// Does what was asked.
pub async fn run(args: SiteArgs) -> Outcome {
    match args.command {
        SiteCommand::Check(args) => check(args).await,
        SiteCommand::Apply(args) => apply(args).await,
        SiteCommand::Show(args) => show(args).await,
    }
}

fn read(file: &Path) -> anyhow::Result<(RawSite, Site)> {
    let what = || format!("read the site file {}", file.display());
    let size = std::fs::metadata(file).with_context(what)?.len();
    anyhow::ensure!(
        size <= LARGEST,
        "{} has {size} bytes: a site file has at most {LARGEST}",
        file.display()
    );
    let text = std::fs::read_to_string(file).with_context(what)?;
    let raw: RawSite = toml::from_str(&text).with_context(what)?;
    let site = Site::new(&raw).with_context(what)?;
    Ok((raw, site))
}

async fn check(args: FileArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, site) = read(&args.file).map_err(usage)?;
    let (_, mut connection) = match server::open(&config.redis).await {
        Ok(opened) => opened,
        // A file can be checked anywhere.
        Err(Failure::Failed(error)) => {
            print(&format!("{} is right\n", args.file.display()));
            remark(&format!(
                "which devices it places cannot be told: {error:#}"
            ));
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    let placed = Placed::by(&site, &mut connection).await?;
    if args.json {
        print(&(serde_json::to_string_pretty(&placed.document())? + "\n"));
    } else {
        print(&format!(
            "{} is right\n\n{}",
            args.file.display(),
            placed.text()
        ));
    }
    Ok(())
}

async fn apply(args: ApplyArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (raw, site) = read(&args.file).map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    if !args.replace && site::read(&mut connection).await? == SiteInRedis::Refused {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the stored site has a format that this version does not understand: use the version that applied it, or \
             replace it with `site apply --replace`"
        )));
    }
    let now = server::now(&mut connection).await?;
    let mut set = redis::pipe();
    set.atomic()
        .cmd("HSET")
        .arg(keys::SITE)
        .arg("site")
        .arg(encode(&StoredSite { site: raw }))
        .arg("by")
        .arg(who())
        .arg("at_ms")
        .arg(now.millis())
        .ignore()
        .cmd("HINCRBY")
        .arg(keys::SITE)
        .arg("version")
        .arg(1);
    let (version,): (u64,) = set.query_async(&mut connection).await?;
    // Only then: whoever looks because of it finds the new site.
    let mut revision = redis::cmd("INCR");
    revision.arg(keys::DEVICES_REVISION);
    revision.exec_async(&mut connection).await?;
    let placed = Placed::by(&site, &mut connection).await?;
    if args.json {
        let mut document = placed.document();
        document["version"] = json!(version);
        print(&(serde_json::to_string_pretty(&document)? + "\n"));
    } else {
        print(&format!(
            "version {version} holds: collectors take it up within half a minute\n\n{}",
            placed.text()
        ));
    }
    Ok(())
}

async fn show(args: ShowArgs) -> Outcome {
    let config = args.common.load().map_err(usage)?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let kept = match site::read(&mut connection).await? {
        SiteInRedis::Applied(applied) => applied,
        SiteInRedis::Refused => {
            return Err(Failure::Failed(anyhow::anyhow!(
                "the stored site has a format that this version does not understand"
            )));
        }
        SiteInRedis::Missing => {
            print(if args.json {
                "null\n"
            } else {
                "# no site is applied\n"
            });
            return Ok(());
        }
    };
    if args.json {
        print(&(serde_json::to_string_pretty(&kept)? + "\n"));
        return Ok(());
    }
    let at = rackwatch_core::time::Timestamp::from_millis(kept.at_ms).unwrap_or_default();
    let at = line::time(at, &jiff::tz::TimeZone::system());
    let heading = format!("# version {}, by {} at {at}\n\n", kept.version, kept.by);
    print(&(heading + &toml::to_string(&kept.site)?));
    Ok(())
}

/// Where a site puts the devices that are known.
struct Placed {
    /// How many devices are in each (room, row, rack).
    racks: BTreeMap<(String, String, String), (usize, String)>,
    unplaced: Vec<String>,
}

impl Placed {
    async fn by(site: &Site, connection: &mut Connection) -> redis::RedisResult<Self> {
        let mut placed = Self {
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
                placed.unplaced.push(id);
            } else {
                let place = (spot.room, spot.row, spot.rack);
                let coolers = spot.coolers.join(", ");
                placed.racks.entry(place).or_insert((0, coolers)).0 += 1;
            }
        }
        Ok(placed)
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
            [] => "every device that is known is in a rack\n".to_owned(),
            some => format!("in no rack: {}\n", some.join(", ")),
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
        json!({ "racks": racks.collect::<Vec<_>>(), "in_no_rack": self.unplaced })
    }
}
