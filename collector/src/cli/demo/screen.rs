//! What the demo says besides the alerts: a banner, a live line, a summary.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::DemoArgs;
use crate::notify::console::Screen;
use crate::notify::line::length;
use crate::stats::{Counts, Stats};

/// What this is, and what is about to be seen.
pub(super) fn banner(screen: &Screen, args: &DemoArgs, address: SocketAddr) {
    let by_way_of = if args.redis.is_some() {
        "through Redis"
    } else {
        "in memory"
    };
    let until = args
        .length
        .map_or("until Ctrl-C".to_owned(), |d| format!("for {}", length(d)));
    let what = if args.scenario == "demo" {
        "Things go wrong on purpose: a sensor of rack R1 overheats within seconds."
    } else {
        "What goes wrong is what --scenario says."
    };
    screen.print(&format!(
        "Rackwatch demo: {} simulated inlet sensors in {} racks, one reading a second each,\n\
         {by_way_of}, {until}. Normal is 20 to 25 °C.\n\
         {what}\n\n\
         Above 28 °C is a warning, above 32 critical; below 18 a note, 15 a warning, 10 critical.\n\
         A change of 2 °C within 5 minutes is a spike or a drop. Each episode is told when it begins,\n\
         when it gets worse and when it is over, and not at each reading. Alerts with one cause are one\n\
         incident: that is what people are paged for.\n\
         Dashboard: http://{address}/\n",
        args.sensors, args.racks
    ));
}

/// Keeps the live line up to date until `stop`.
pub(super) async fn live(screen: &Screen, stats: &Stats, stop: &CancellationToken) {
    if !screen.is_terminal() {
        stop.cancelled().await;
        return;
    }
    let mut before = stats.counts();
    let tick = Duration::from_secs(1);
    while stop
        .run_until_cancelled(tokio::time::sleep(tick))
        .await
        .is_some()
    {
        let now = stats.counts();
        screen.live(Some(live_line(before, now)));
        before = now;
    }
}

fn live_line(before: Counts, now: Counts) -> String {
    format!(
        "{} devices · {} readings/s, {} in all · alerts: {} told, {} resolved, {} open",
        now.devices,
        now.readings - before.readings,
        now.readings,
        now.firing,
        now.resolved,
        now.open,
    )
}

/// What happened, and what to do next.
pub(super) fn summary(screen: &Screen, args: &DemoArgs, stats: &Stats, took: Duration) {
    let counts = stats.counts();
    let faults = match counts.faults {
        0 => String::new(),
        n => format!(", {n} of them faults"),
    };
    screen.print(&format!(
        "\nSummary: {} sensors in {} racks watched for {}: {} readings{faults}.\n\
         Alert records: {} firing ({} critical), {} resolved; {} episodes still open.",
        counts.devices,
        args.racks,
        length(took),
        counts.readings,
        counts.firing,
        counts.critical,
        counts.resolved,
        counts.open,
    ));
    let next = match &args.redis {
        None => {
            "Next: run it with your Redis: rackwatch-collector demo --redis redis://127.0.0.1:6379"
        }
        Some(_) => "Next: look again with rackwatch-collector alerts --since 1h --redis ...",
    };
    screen.print(next);
}
