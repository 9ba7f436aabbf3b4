//! The banner, the live status line and the summary of the demo.

use std::net::SocketAddr;
use std::time::Duration;

use rackwatch_core::words::count;
use tokio_util::sync::CancellationToken;

use super::args::DemoArgs;
use crate::notify::console::Screen;
use crate::notify::line::format_duration;
use crate::stats::{Counts, Stats};

/// Prints what the demo simulates, which alerts to expect, and the address of the dashboard.
pub(super) fn banner(screen: &Screen, args: &DemoArgs, address: SocketAddr) {
    let transport = if args.redis.is_some() {
        "through Redis"
    } else {
        "in memory"
    };
    let until = args.length.map_or("until Ctrl-C".to_owned(), |d| {
        format!("for {}", format_duration(d))
    });
    let faults = if args.scenario == "demo" {
        "It simulates faults: a sensor of rack R1 overheats within seconds.".to_owned()
    } else {
        format!("It simulates the scenario {}.", args.scenario)
    };
    screen.print(&format!(
        "Rackwatch demo: {} simulated inlet sensors in {} racks, one reading per second each,\n\
         {transport}, {until}. 20 to 25 °C are normal.\n\
         {faults}\n\n\
         Above 28 °C is a warning, above 32 °C critical. Below 18 °C is info, below 15 °C a warning,\n\
         below 10 °C critical. A change of 2 °C within 5 minutes is a spike or a drop. An alert fires,\n\
         gets worse and resolves; it does not repeat with every reading. Alerts with one cause become\n\
         one incident, which is what notifiers send.\n\
         Dashboard: http://{address}/\n",
        args.sensors, args.racks
    ));
}

/// Updates the live line every second until `stop`.
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
        screen.set_live_line(Some(live_line(before, now)));
        before = now;
    }
}

fn live_line(before: Counts, now: Counts) -> String {
    format!(
        "{} devices · {} readings/s, {} total · alerts: {} fired, {} resolved, {} open",
        now.devices,
        now.readings - before.readings,
        now.readings,
        now.firing,
        now.resolved,
        now.open,
    )
}

/// Prints totals, and the command to try next.
pub(super) fn summary(screen: &Screen, args: &DemoArgs, stats: &Stats, elapsed: Duration) {
    let counts = stats.counts();
    let faults = match counts.faults {
        0 => String::new(),
        n => format!(", {n} of them sensor faults"),
    };
    screen.print(&format!(
        "\nSummary: {} in {} for {}: {}{faults}.\n\
         Alert records: {} firing ({} critical), {} resolved; {} still open.",
        count(counts.devices, "sensor"),
        count(args.racks, "rack"),
        format_duration(elapsed),
        count(counts.readings, "reading"),
        counts.firing,
        counts.critical,
        counts.resolved,
        count(counts.open, "alert"),
    ));
    let next = match &args.redis {
        None => "Next: use your Redis: rackwatch-collector demo --redis redis://127.0.0.1:6379",
        Some(_) => "Next: list the alerts: rackwatch-collector alerts --since 1h --redis ...",
    };
    screen.print(next);
}
