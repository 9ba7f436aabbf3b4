//! Names of streams, keys and groups, ids, and which partition a zone belongs to.

use std::fmt::Write as _;

use rackwatch_core::alert::{AlertId, AlertKind, AlertState, Severity};
use rackwatch_core::device::Role;
use rackwatch_core::incident::{Cause, IncidentId};
use rackwatch_core::keys::{self, PartitionKeys, SeriesKeys};
use rackwatch_core::loss_ledger::Loss;
use rackwatch_core::partition::{PartitionId, Partitions};
use rackwatch_core::reading::Fault;
use rackwatch_core::time::Timestamp;
use rackwatch_core::wire::{EntryFormat, Gap, field};
use rackwatch_testing::assert_golden;

use super::{at, device};

#[test]
fn keys_groups_and_consumers() {
    let mut text = String::new();
    for (what, name) in [
        ("detector group", keys::DETECTOR_GROUP),
        ("detector consumer", keys::DETECTOR_CONSUMER),
        ("logger group", keys::LOGGER_GROUP),
        ("alert file group", keys::ALERT_FILE_GROUPS[0]),
        ("alert file group, JSON", keys::ALERT_FILE_GROUPS[1]),
        ("logger consumer", keys::LOGGER_CONSUMER),
        ("correlator group", keys::CORRELATOR_GROUP),
        ("correlator consumer", keys::CORRELATOR_CONSUMER),
        ("notifier group", &keys::notifier_group("ops")),
        ("raw", keys::RAW),
        ("alerts", keys::ALERTS),
        ("devices", keys::DEVICES),
        ("devices revision", keys::DEVICES_REVISION),
        ("devices without a description", keys::UNDESCRIBED),
        ("partitioning", keys::PARTITIONING),
        ("collectors", keys::COLLECTORS),
        ("announcements", keys::ANNOUNCEMENTS),
        ("site", keys::SITE),
        ("inventory changes", keys::INVENTORY_CHANGES),
        ("silences", keys::SILENCES),
        ("windows", keys::WINDOWS),
        ("deliveries", keys::DELIVERIES),
        ("incidents", keys::INCIDENTS),
        ("incidents fence", keys::incidents::FENCE),
        ("incidents lease", keys::incidents::LEASE),
        ("incidents open", keys::incidents::OPEN),
        ("incidents members", keys::incidents::MEMBERS),
        ("incidents acks", keys::incidents::ACKS),
        ("incidents notifiers", keys::incidents::NOTIFIERS),
        ("newest indices", keys::INDICES),
        ("index series", &keys::index("rack", "B07", "rci_hi")),
        ("check prefix", keys::CHECK_PREFIX),
    ] {
        writeln!(text, "{what}: {name}").unwrap();
    }
    let second = Partitions::new(3).unwrap().all().nth(2).unwrap();
    for partition in [PartitionId::PLAIN, second] {
        let keys = PartitionKeys::of(partition);
        writeln!(text, "partition {partition}").unwrap();
        for (what, name) in [
            ("raw", keys.raw),
            ("dead", keys.dead),
            ("alerts", keys.alerts),
            ("losses", keys.losses),
            ("fence", keys.fence),
            ("lease", keys.lease),
            ("episodes", keys.episodes),
            ("loss ledger", keys.loss_ledger),
            ("clock offsets", keys.clocks),
            ("tally", keys.tally),
            ("resolutions", keys.resolutions),
            ("racks", keys.racks),
            ("snapshot", keys.snapshot),
        ] {
            writeln!(text, "  {what}: {name}").unwrap();
        }
    }
    for (what, keys) in [
        ("plain", SeriesKeys::Plain),
        ("cluster", SeriesKeys::Cluster),
    ] {
        writeln!(text, "series, {what}").unwrap();
        for id in ["inrow-ABC-1", "cpu-a-b-1", "cpu-cpu-cpu", "probe7", "a--1"] {
            let device = device(id);
            writeln!(text, "  {}", keys.raw(&device)).unwrap();
            writeln!(text, "  {}", keys.late(&device)).unwrap();
            for which in ["avg", "min", "max"] {
                writeln!(text, "  {}", keys.rollup(&device, which)).unwrap();
            }
        }
    }
    assert_golden!("contract_keys.txt", text);
}

#[test]
fn ids_are_the_same_for_ever() {
    let mut text = String::new();
    for (id, rule, start) in [
        ("inrow-ABC-1", "high_temp", Timestamp::default()),
        ("inrow-ABC-1", "high_temp", at(0)),
        ("inrow-ABC-1", "high_temp", at(1)),
        ("inrow-ABC-1", "low_temp", at(0)),
        ("inrow-ABC-2", "high_temp", at(0)),
        ("agent:host7", "no_data", at(0)),
        ("target:bmc-7", "no_data", at(0)),
    ] {
        let alert = AlertId::of(&device(id).into(), rule, start);
        let incident = IncidentId::of(&alert);
        writeln!(
            text,
            "{id} {rule} {start}: alert {alert} incident {incident}"
        )
        .unwrap();
    }
    for (agent, run, from, to) in [
        ("node7", "r1", 6, 10),
        ("node7", "r1", 6, 6),
        ("h", "a", 1, 99),
    ] {
        let loss = Loss {
            agent: agent.to_owned(),
            run: run.to_owned(),
            from,
            to,
            since: None,
            until: at(0),
            gap: None,
        };
        writeln!(text, "{agent} {run} {from} to {to}: loss {}", loss.id()).unwrap();
    }
    assert_golden!("contract_ids.txt", text);
}

#[test]
fn words_of_the_contract() {
    let mut text = String::new();
    let mut all = |what: &str, words: Vec<&str>| {
        writeln!(text, "{what}: {}", words.join(" ")).unwrap();
    };
    all("type", AlertKind::ALL.map(AlertKind::name).to_vec());
    all("severity", Severity::ALL.map(Severity::name).to_vec());
    let states = [AlertState::Firing, AlertState::Resolved];
    all("state", states.map(AlertState::name).to_vec());
    all("role", Role::ALL.map(Role::name).to_vec());
    let gaps = [
        Gap::QueueFull,
        Gap::SpoolFull,
        Gap::SpoolAge,
        Gap::SpoolCorrupt,
    ];
    all("gap", gaps.map(Gap::word).to_vec());
    let faults = [
        Fault::NO_READING,
        Fault::TIMEOUT,
        Fault::UNREACHABLE,
        Fault::DISABLED,
        Fault::OUT_OF_RANGE,
        Fault::UNCONFIRMED,
        Fault::SENSOR_FAULT,
        Fault::GARBLED,
        Fault::IO_ERROR,
        Fault::VANISHED,
    ];
    all("fault", faults.iter().map(Fault::as_str).collect());
    all(
        "field of a raw entry",
        vec![
            field::DEVICE_ID,
            field::TEMPERATURE,
            field::FAULT,
            field::TIMESTAMP,
            field::AGENT,
            field::SEQ,
            field::PREV,
            field::GAP,
            field::SKEW,
            field::READINGS,
        ],
    );
    let causes = [
        Cause::Sensor,
        Cause::Agent,
        Cause::Target,
        Cause::Rack,
        Cause::Cooler,
        Cause::Row,
        Cause::Room,
        Cause::Site,
    ];
    let causes = causes.map(|cause| cause("x".to_owned()));
    all(
        "cause",
        causes.iter().map(|cause| cause.parts().0).collect(),
    );
    let formats = [EntryFormat::Reading, EntryFormat::Frame].map(|format| {
        let json = serde_json::to_value(format).unwrap();
        json.as_str().unwrap().to_owned()
    });
    all("entry format", formats.iter().map(String::as_str).collect());
    assert_golden!("contract_words.txt", text);
}

#[test]
fn a_zone_keeps_its_partition() {
    let mut text = String::new();
    for count in [1, 16, 64, 1024] {
        for zone in ["default", "ABC", "hall-1", "hall-2", "Halle Süd", ""] {
            let partition = Partitions::new(count).unwrap().of_zone(zone);
            writeln!(text, "{zone:?} of {count}: {partition}").unwrap();
        }
    }
    assert_golden!("contract_zones.txt", text);
}
