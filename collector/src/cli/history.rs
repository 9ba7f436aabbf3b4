//! `history`: stored temperatures of one device.

mod show;
mod similar;

use std::time::Duration;

use clap::Args;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::keys;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::redis::{Connection, scan_hash};

use super::common::{Common, Failure, Outcome};
use super::output::{print, style};
use super::server;
use super::time_arg::RangeArgs;
use crate::config::CollectorConfig;
use crate::incidents::site::SiteReader;
use crate::series;
use crate::series::history::{self, Grain, Span};
use crate::web::read_model::{Change, Limit, ReadModel};

/// Longest range that shows raw readings by default: 600 rows at one reading per second.
const MAX_RAW_RANGE: Duration = Duration::from_secs(600);
/// Default number of rows: about one screen.
const DEFAULT_ROWS: u64 = 60;

/// Show the stored temperatures of a device
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  rackwatch-collector history inlet-B07-1 --from -1h --every 1m")]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    common: Common,
    /// Id of the device
    #[arg(value_parser = DeviceId::new)]
    device: DeviceId,
    #[command(flatten)]
    range: RangeArgs,
    /// Width of a row, such as 1m, or `raw` for single readings [default: raw up to ten minutes, else
    /// about sixty rows]
    #[arg(long, value_name = "DURATION", value_parser = grain)]
    every: Option<Grain>,
    /// Print comma-separated values, with times in milliseconds since 1970-01-01 UTC
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn grain(text: &str) -> Result<Grain, String> {
    if text == "raw" {
        return Ok(Grain::Raw);
    }
    let width = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if width < Duration::from_secs(1) || width.subsec_nanos() != 0 {
        return Err("expected whole seconds such as 30s or 1m, or raw".to_owned());
    }
    Ok(Grain::Every(width))
}

/// Prints the history of the device.
pub(super) async fn run(args: HistoryArgs) -> Outcome {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    // Readings have Redis' time, whatever this host's clock says.
    let now = server::now(&mut connection).await?;
    let (from, to) = args.range.resolve(now)?;
    let mut series = series::open(connection.clone(), &config.series).await?;
    let span = Span {
        from,
        to,
        grain: args.every.unwrap_or_else(|| default_grain(from, to)),
    };
    let history = history::fetch(&mut series, &args.device, span, now).await?;
    if history.rows.is_empty() && !is_known(&mut connection, &args.device).await? {
        return Err(unknown_device(&mut connection, &args.device).await?);
    }
    print(&if args.json {
        show::json(&args.device, &history)?
    } else if args.csv {
        show::csv(&history)
    } else {
        let limits = limits(&mut connection, &config, &args.device).await?;
        show::table(&args.device, &history, &limits, &style())
    });
    Ok(())
}

/// Returns the limits that apply to the device, or none before an agent has described it.
async fn limits(
    connection: &mut Connection,
    config: &CollectorConfig,
    device: &DeviceId,
) -> anyhow::Result<Vec<Limit>> {
    let mut ask = redis::cmd("HGET");
    ask.arg(keys::DEVICES).arg(device.as_str());
    let json: Option<Vec<u8>> = ask.query_async(connection).await?;
    let Some(known) = json.and_then(|json| Description::from_json(&json).ok()) else {
        return Ok(Vec::new());
    };
    let mut site = SiteReader::default();
    site.refresh(connection).await?;
    let mut model = ReadModel::new(config.rule_set()?, config.alerts.profile.envelope());
    model.apply(Change::Site(site.site().clone()));
    model.apply(Change::Described(device.clone(), Some(Box::new(known))));
    Ok(model.limits(device))
}

/// Returns the width of rows for a range without `--every`.
fn default_grain(from: Timestamp, to: Timestamp) -> Grain {
    let range = to.since(from);
    if range <= MAX_RAW_RANGE {
        return Grain::Raw;
    }
    Grain::Every(history::width(range, DEFAULT_ROWS))
}

async fn is_known(connection: &mut Connection, device: &DeviceId) -> redis::RedisResult<bool> {
    let mut ask = redis::pipe();
    ask.hexists(keys::DEVICES, device.as_str());
    let series = connection.series_keys();
    ask.exists(series.raw(device))
        .exists(series.rollup(device, "avg"));
    let (described, raw, minutes): (bool, bool, bool) = ask.query_async(connection).await?;
    Ok(described || raw || minutes)
}

async fn unknown_device(
    connection: &mut Connection,
    device: &DeviceId,
) -> redis::RedisResult<Failure> {
    let known = scan_hash(connection, keys::DEVICES).await?;
    let similar = similar::similar(device.as_str(), known.keys().map(String::as_str));
    let hint = if similar.is_empty() {
        "list devices with `rackwatch-collector devices list`".to_owned()
    } else {
        format!("did you mean {}?", similar.join(", "))
    };
    Ok(Failure::Failed(anyhow::anyhow!(
        "no such device: {device}; {hint}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_grain_fits_the_range() {
        let from = Timestamp::default();
        let of = |seconds| default_grain(from, from.plus(Duration::from_secs(seconds)));
        assert_eq!(of(600), Grain::Raw);
        assert_eq!(of(3600), Grain::Every(Duration::from_secs(60)));
        assert_eq!(of(86_400), Grain::Every(Duration::from_secs(1800)));
        assert_eq!(of(90 * 86_400), Grain::Every(Duration::from_secs(86_400)));
        grain("0s").unwrap_err();
        grain("500ms").unwrap_err();
    }
}
