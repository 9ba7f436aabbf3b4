//! `alerts resolve` and `incidents resolve`: the end of alerts that no reading will end.

use std::time::Duration;

use clap::Args;
use rackwatch_core::words::count;
use rackwatch_runtime::redis::Connection;

use super::common::{AuthorArgs, Common, Failure, Outcome, usage};
use super::output::print;
use super::server;
use crate::incidents::operator_actions::{ActionError, clean_text};
use crate::incidents::resolve::{
    Requested, Resolver, resolve_alert, resolve_incident, wait_carried_out,
};
use crate::notify::line::format_duration;

/// Resolve by hand: a sensor that still crosses its limit alerts again
#[derive(Clone, Debug, Args)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    common: Common,
    /// Id as lists and notifications show it, or its first characters
    #[arg(value_name = "ID")]
    id: String,
    /// Reason for other people
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = clean_text)]
    note: String,
    /// Wait this long until a collector has carried it out
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    wait: Duration,
    #[command(flatten)]
    author: AuthorArgs,
}

/// Resolves one alert by hand.
pub(super) async fn alert(args: ResolveArgs) -> Outcome {
    let (mut connection, resolver) = begin(&args).await?;
    let requested = resolve_alert(&mut connection, &args.id, &resolver).await;
    finish(&mut connection, requested, &resolver, args.wait).await
}

/// Resolves all open alerts of an incident by hand.
pub(super) async fn incident(args: ResolveArgs) -> Outcome {
    let (mut connection, resolver) = begin(&args).await?;
    let requested = resolve_incident(&mut connection, &args.id, &resolver).await;
    finish(&mut connection, requested, &resolver, args.wait).await
}

async fn begin(args: &ResolveArgs) -> Result<(Connection, Resolver), Failure> {
    let config = args.common.load()?;
    let (_, mut connection) = server::open(&config.redis).await?;
    let resolver = Resolver {
        by: args.author.clone().name(),
        at: server::now(&mut connection).await?,
        note: args.note.clone(),
    };
    Ok((connection, resolver))
}

async fn finish(
    connection: &mut Connection,
    requested: Result<Requested, ActionError>,
    resolver: &Resolver,
    patience: Duration,
) -> Outcome {
    let requested = match requested {
        Err(short @ ActionError::ShortPrefix(_)) => return Err(usage(short)),
        requested => requested?,
    };
    let alerts = count(requested.alerts() as u64, "alert");
    if !wait_carried_out(connection, &requested, patience).await? {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the end of {alerts} is requested, but no collector has carried it out within {}: it holds for an hour, \
             and `rackwatch-collector status` shows which partition has no owner",
            format_duration(patience)
        )));
    }
    let of = requested.incident.as_ref();
    let of = of.map_or_else(String::new, |incident| format!(" of incident {incident}"));
    let by = &resolver.by;
    print(&format!(
        "{alerts}{of} resolved by {by}: a sensor that still crosses its limit alerts again\n"
    ));
    if requested.left > 0 {
        let left = count(requested.left as u64, "alert");
        print(&format!("{left} left: run the command again\n"));
    }
    Ok(())
}
