//! `devices list`: known devices with their place, limits and state.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use rackwatch_core::alert::Severity;
use rackwatch_core::device::{DataFacts, DataState, Description, DeviceId, HardwareLimits, Role};
use rackwatch_core::keys;
use rackwatch_core::stored::StoredValue as _;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, scan_hash};
use serde::Serialize;

use super::super::common::{Common, Outcome};
use super::super::output::{json_text, print};
use super::super::server;
use super::super::table::Table;
use super::super::unattended::remark_if_unattended;
use super::{recent, state};
use crate::incidents::episodes;
use crate::incidents::site::SiteReader;
use crate::notify::line::format_duration;
use crate::series;

/// List known devices with their place, limits and state
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector devices list --json")]
pub(super) struct ListArgs {
    #[command(flatten)]
    common: Common,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// One known device, as printed.
#[derive(Debug, Serialize)]
struct DeviceRow {
    device_id: String,
    /// Worst severity of its open alerts.
    open: Option<Severity>,
    /// An alert says that it, its target or its agent sends no data.
    absent: bool,
    /// State of its data. Only `live` says that it is well where nothing is open.
    state: DataState,
    /// Time of its last stored reading.
    at_ms: Option<u64>,
    #[serde(flatten)]
    description: Option<Description>,
    /// Reason why its description is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Reason why no rule looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_evaluated: Option<String>,
}

/// A device before its data are known.
struct ListedDevice {
    /// Its id; none for a field of the hash that cannot be one.
    device: Result<DeviceId, String>,
    /// Whether an agent sends its newest readings; none where no reading is among the newest.
    by_agent: Option<bool>,
    description: Option<Description>,
    refused: Option<String>,
}

/// Prints all devices that are described, and the others whose readings arrived last.
pub(super) async fn list(args: ListArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let mut site = SiteReader::default();
    site.refresh(&mut connection).await?;
    let known = known(&mut connection, &site).await?;
    let open = episodes::all(&mut connection).await?;
    let worst = episodes::worst(&open);
    let absent = state::AbsentSubjects::of(&open);
    let ids = known.values().filter_map(|one| one.device.clone().ok());
    let ids: Vec<DeviceId> = ids.collect();
    let mut series = series::open(connection.clone(), &config.series).await?;
    let newest = series.newest(&ids).await?;
    let newest: HashMap<DeviceId, Option<Timestamp>> = ids.into_iter().zip(newest).collect();
    let now = server::now(&mut connection).await?;
    let rows = known.into_iter().map(|(device_id, one)| {
        let device = one.device.as_ref().ok();
        let at = device.and_then(|device| newest.get(device).copied().flatten());
        let open = device.and_then(|device| worst.get(device).copied());
        let absent = device.is_some_and(|device| absent.covers(device, one.description.as_ref()));
        one.row(device_id, (open, absent), (at, now))
    });
    let rows: Vec<DeviceRow> = rows.collect();
    if args.json {
        print(&json_text(&rows)?);
    } else if rows.is_empty() {
        print("No known devices: start an agent, or send readings with a plain client\n");
    } else {
        print(&table(&rows));
    }
    // Without a collector there are no alerts, and "ok" would be a guess.
    remark_if_unattended(&mut connection).await?;
    Ok(())
}

/// Returns all described devices, and the devices of the newest readings, by id.
async fn known(
    connection: &mut Connection,
    site: &SiteReader,
) -> anyhow::Result<BTreeMap<String, ListedDevice>> {
    let mut senders = recent::senders(connection).await?;
    let mut known = BTreeMap::new();
    for (device_id, json) in scan_hash(connection, keys::DEVICES).await? {
        let device = DeviceId::new(&device_id).map_err(|error| error.to_string());
        let by_agent = device
            .as_ref()
            .ok()
            .and_then(|device| senders.remove(device));
        let (description, refused) = match Description::from_json(&json) {
            Ok(description) => (Some(description), None),
            Err(error) => (None, Some(error.comparison(Description::VERSION))),
        };
        known.insert(
            device_id,
            ListedDevice {
                device,
                by_agent,
                description,
                refused,
            },
        );
    }
    let undescribed = senders.into_iter().map(|(device, by_agent)| {
        let one = ListedDevice {
            device: Ok(device.clone()),
            by_agent: Some(by_agent),
            description: None,
            refused: None,
        };
        (device.to_string(), one)
    });
    known.extend(undescribed);
    for one in known.values_mut() {
        one.place(site);
    }
    Ok(known)
}

impl ListedDevice {
    /// Applies the site. A plain client's device without a description is an inlet.
    fn place(&mut self, site: &SiteReader) {
        let Ok(device) = &self.device else {
            return;
        };
        if self.description.is_none() && self.by_agent == Some(false) {
            self.description = Some(Description {
                role: Role::Inlet,
                rack: device.rack_part().map(str::to_owned),
                ..Description::default()
            });
        }
        if let Some(description) = &mut self.description {
            site.site().place(device, description);
        }
    }

    /// Returns why no rule looks at it.
    fn not_evaluated(&self) -> Option<String> {
        match (&self.device, &self.description, &self.refused) {
            (Err(why), ..) => Some(format!("not a device id: {why}")),
            (Ok(_), Some(_), _) => None,
            (Ok(_), None, Some(reason)) => Some(format!("description refused: {reason}")),
            (Ok(_), None, None) => Some("its agent has not described it".to_owned()),
        }
    }

    fn row(
        self,
        device_id: String,
        (open, absent): (Option<Severity>, bool),
        (at, now): (Option<Timestamp>, Timestamp),
    ) -> DeviceRow {
        let not_evaluated = self.not_evaluated();
        let described = self.description.as_ref();
        let state = if not_evaluated.is_some() {
            DataState::NotEvaluated
        } else {
            DataState::of(DataFacts {
                age: at.map(|at| now.since(at)),
                interval: described.map(|known| known.interval).unwrap_or_default(),
                is_absent: absent,
                is_leaving: described.is_some_and(|known| known.leaving),
                ..DataFacts::default()
            })
        };
        DeviceRow {
            device_id,
            open,
            absent,
            state,
            at_ms: at.map(Timestamp::millis),
            description: self.description,
            refused: self.refused,
            not_evaluated,
        }
    }
}

fn table(rows: &[DeviceRow]) -> String {
    let headings = [
        "device", "role", "rack", "u", "source", "agent", "every", "limits", "state",
    ];
    let mut table = Table::new(&headings, headings.len());
    for row in rows {
        let mut cells = vec![row.device_id.clone()];
        match &row.description {
            Some(described) if row.not_evaluated.is_none() => cells.extend(place(described)),
            _ => cells.extend(std::iter::repeat_n("-".to_owned(), headings.len() - 2)),
        }
        let board = row.description.as_ref().and_then(|known| known.verdict);
        let words = state::words(row.state, row.open, board);
        cells.push(match &row.not_evaluated {
            Some(reason) => format!("{words}: {reason}"),
            None => words,
        });
        table.push(cells);
    }
    table.text()
}

/// Returns role, place, sender, interval and limits.
fn place(described: &Description) -> [String; 7] {
    let or_dash = |text: Option<&str>| match text {
        None | Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
    };
    let every = described.interval;
    let every = match every.subsec_millis() {
        _ if every.is_zero() => "-".to_owned(),
        0 => format_duration(every),
        _ => humantime::format_duration(every).to_string(),
    };
    [
        described.role.to_string(),
        or_dash(described.rack.as_deref()),
        or_dash(described.u.map(|u| u.to_string()).as_deref()),
        or_dash(Some(&described.source)),
        or_dash(Some(&described.agent)),
        every,
        or_dash(Some(&limits(&described.limits))),
    ]
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
