//! One trace through the engine alone, in memory and through Redis gives the same records, in every entry format.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rackwatch_collector::config::StreamConfig;
use rackwatch_collector::feed::redis::RedisFeed;
use rackwatch_collector::feed::{Feed, memory::MemoryFeed};
use rackwatch_collector::ingest::partition::{Partition, Parts};
use rackwatch_collector::ingest::raw_stream::memory::{MemoryRawStream, SamplerMessage};
use rackwatch_collector::ingest::raw_stream::redis::{OwnedPartition, RedisRawStream};
use rackwatch_collector::ingest::recorder::Recorder;
use rackwatch_collector::ingest::relief::Relief;
use rackwatch_collector::series::{InMemory, SeriesConfig};
use rackwatch_collector::stage::StageError;
use rackwatch_collector::stats::Stats;
use rackwatch_core::alert::AlertRecord;
use rackwatch_core::device::{Description, DeviceId};
use rackwatch_core::engine::{Engine, Input};
use rackwatch_core::keys::{self, PartitionKeys};
use rackwatch_core::partition::PartitionId;
use rackwatch_core::reading::{Fault, Reading, Sample};
use rackwatch_core::rules::{Profile, RuleSet};
use rackwatch_core::thermal::{Hall, Scenario};
use rackwatch_core::time::{StreamId, Timestamp};
use rackwatch_core::units::Celsius;
use rackwatch_core::wire::{self, Provenance, alert};
use rackwatch_runtime::config::RedisConfig;
use rackwatch_runtime::redis::Connector;
use rackwatch_testing::{RedisServer, wait_until};
use redis::{Commands, Connection};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::rig::{DEADLINE, connect};

const START: u64 = 1_795_438_931_000;

/// Returns ten minutes of the demo's hall: spikes, crossed limits, sensor faults.
fn recorded() -> (Vec<(DeviceId, Description)>, Vec<Sample>) {
    let start = Timestamp::from_millis(START).unwrap();
    let mut hall = Hall::new(&Scenario::new(2, 8, 7, "demo").unwrap(), start);
    let sample = |second: u64| {
        let at = Timestamp::from_millis(START + second * 1000).unwrap();
        Sample {
            at,
            readings: hall.read(at),
        }
    };
    let samples = (1..=600).map(sample).collect();
    (hall.devices(), samples)
}

fn rules() -> Arc<RuleSet> {
    Arc::new(RuleSet::with_defaults(&[]).unwrap())
}

fn by_engine(devices: &[(DeviceId, Description)], samples: &[Sample]) -> Vec<AlertRecord> {
    let mut engine = Engine::new(rules());
    let described = devices
        .iter()
        .map(|(id, d)| Input::Describe(id.clone(), Some(Box::new(d.clone()))));
    let readings = samples.iter().flat_map(|sample| &sample.readings);
    let read = readings.map(|reading| Input::Reading {
        entry: StreamId::ZERO,
        by_agent: true,
        reading: reading.clone(),
    });
    engine.step(described.chain(read)).alerts
}

async fn by_memory(
    devices: Vec<(DeviceId, Description)>,
    samples: Vec<Sample>,
) -> Vec<AlertRecord> {
    let stop = CancellationToken::new();
    let (send, sent) = mpsc::channel(4);
    let (alert, alerts) = mpsc::channel(4);
    let partition = Partition::new(Parts {
        id: PartitionId::PLAIN,
        stream: MemoryRawStream::new(sent, alert, mpsc::unbounded_channel().1, stop.clone()),
        recorder: Recorder::memory(InMemory::new(&SeriesConfig::default())),
        rules: rules(),
        envelope: Profile::default().envelope(),
        stats: Arc::new(Stats::default()),
        save_every: DEADLINE,
        max_devices: 1000,
        stop,
    });
    let sending = async move {
        send.send(SamplerMessage::Devices(devices)).await.unwrap();
        for sample in samples {
            send.send(SamplerMessage::Sample(sample)).await.unwrap();
        }
    };
    let receiving = async {
        let mut feed = MemoryFeed::new(alerts);
        let mut records = Vec::new();
        loop {
            match feed.next().await {
                Ok(fed) => records.extend(fed.into_iter().map(|alert| alert.record.unwrap())),
                Err(StageError::Stopped) => return records,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let ((), ran, records) = tokio::join!(sending, partition.run(), receiving);
    ran.unwrap();
    undated(records)
}

/// Clears `historical`, which depends on the clock.
fn undated(mut records: Vec<AlertRecord>) -> Vec<AlertRecord> {
    for record in &mut records {
        assert!(record.historical, "this trace is days old");
        record.historical = false;
    }
    records
}

/// Entry format of the readings in the stream.
#[derive(Clone, Copy, Debug)]
enum EntryFormat {
    Readings,
    Frames,
    Mixed,
}

fn write(redis: &mut Connection, samples: &[Sample], format: EntryFormat) {
    let mut pipe = redis::pipe();
    for (n, sample) in samples.iter().enumerate() {
        let from = Provenance::new("h", format!("r-{n}").parse().unwrap());
        let frame = match format {
            EntryFormat::Readings => false,
            EntryFormat::Frames => true,
            EntryFormat::Mixed => n % 3 == 0,
        };
        if frame {
            pipe.xadd(keys::RAW, "*", &wire::frame::encode(sample, &from))
                .ignore();
        } else {
            for reading in &sample.readings {
                pipe.xadd(keys::RAW, "*", &wire::entry::encode(reading, Some(&from)))
                    .ignore();
            }
        }
    }
    pipe.exec(redis).unwrap();
}

async fn by_redis(
    devices: &[(DeviceId, Description)],
    samples: &[Sample],
    format: EntryFormat,
    expected: usize,
) -> Vec<AlertRecord> {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    for (id, description) in devices {
        let _: () = redis
            .hset(keys::DEVICES, id.as_str(), description.to_json())
            .unwrap();
    }
    let config = RedisConfig {
        url: server.url().as_str().into(),
        ..RedisConfig::default()
    };
    let connector = Connector::new(&config).unwrap();
    let stop = CancellationToken::new();
    let mut feed = RedisFeed::new(
        connector.clone(),
        (keys::ALERTS.to_owned(), alert::decode),
        "test_group".to_owned(),
        "test",
        stop.clone(),
    );
    assert!(feed.next().await.unwrap().is_empty());
    write(redis, samples, format);
    let _: () = redis.hset("rackwatch:fence", "epoch", 1).unwrap();
    let owned = OwnedPartition {
        keys: PartitionKeys::of(PartitionId::PLAIN),
        epoch: 1,
        stop: stop.clone(),
    };
    let lease = Duration::from_secs(10);
    let relief = Arc::new(Relief::new(keys::RAW.to_owned()));
    let partition = Partition::new(Parts {
        id: PartitionId::PLAIN,
        stream: RedisRawStream::new(
            connector.clone(),
            owned,
            &StreamConfig::default(),
            lease,
            Arc::clone(&relief),
        ),
        recorder: Recorder::redis(connector, SeriesConfig::default(), relief, stop.clone()),
        rules: rules(),
        envelope: Profile::default().envelope(),
        stats: Arc::new(Stats::default()),
        save_every: DEADLINE,
        max_devices: 1000,
        stop: stop.clone(),
    });
    let receiving = async {
        let mut records = Vec::new();
        let all = wait_until(DEADLINE, "all records are there", async || {
            let fed = feed.next().await.unwrap();
            feed.acknowledge(&fed.iter().map(|alert| alert.id).collect::<Vec<_>>())
                .await
                .unwrap();
            records.extend(fed.into_iter().map(|alert| alert.record.unwrap()));
            let pending: redis::streams::StreamPendingReply =
                redis.xpending(keys::RAW, keys::DETECTOR_GROUP).ok()?;
            (records.len() >= expected && pending.count() == 0).then_some(())
        });
        all.await.unwrap();
        stop.cancel();
        records
    };
    let (ran, records) = tokio::join!(partition.run(), receiving);
    ran.unwrap();
    undated(records)
}

/// Encodes and decodes records, since values on the wire are rounded.
fn as_written(records: Vec<AlertRecord>) -> Vec<AlertRecord> {
    let written = |record: &AlertRecord| {
        let fields = alert::encode(record).into_iter();
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes()));
        alert::decode(&fields.collect()).unwrap()
    };
    records.iter().map(written).collect()
}

#[tokio::test]
async fn every_path_gives_the_same_records() {
    let (devices, samples) = recorded();
    let bare = by_engine(&devices, &samples);
    assert!(bare.len() > 10, "too few alerts to compare: {}", bare.len());
    assert_eq!(by_memory(devices.clone(), samples.clone()).await, bare);
    let bare = as_written(bare);
    for format in [
        EntryFormat::Readings,
        EntryFormat::Frames,
        EntryFormat::Mixed,
    ] {
        let records = by_redis(&devices, &samples, format, bare.len()).await;
        assert_eq!(records, bare, "{format:?}");
    }
}

/// Samples of a plain client's three devices.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (1u64..120, prop::collection::vec(15.0f64..35.0, 3), 0..20u8);
    prop::collection::vec(sample, 1..60).prop_map(|ticks| {
        let mut now = START;
        let tick = |(gap, values, odd): (u64, Vec<f64>, u8)| {
            now += gap * 1000;
            let at = Timestamp::from_millis(now).unwrap();
            let reading = |(n, value): (usize, &f64)| Reading {
                device: DeviceId::new(&format!("inlet-R1-{n}")).unwrap(),
                at,
                value: match odd {
                    0 => Err(Fault::TIMEOUT),
                    _ => Ok(Celsius::new((value * 10.0).round() / 10.0).unwrap()),
                },
            };
            Sample {
                at,
                readings: values.iter().enumerate().map(reading).collect(),
            }
        };
        ticks.into_iter().map(tick).collect()
    })
}

proptest! {
    /// Any mix of frames and single readings gives the same readings, and so the same series and alerts, as single
    /// readings alone.
    #[test]
    fn mixed_entry_formats_give_the_same_records(
        samples in samples(), frames in prop::collection::vec(any::<bool>(), 60)
    ) {
        let from = Provenance::new("h", "r-0".parse().unwrap());
        let decode = |fields: Vec<(&'static str, String)>| {
            let fields = fields.into_iter().map(|(n, v)| (n.as_bytes().to_vec(), v.into_bytes()));
            wire::decode(&fields.collect())
        };
        let (mut alone, mut mixed) = (Vec::new(), Vec::new());
        for (sample, frame) in samples.iter().zip(frames) {
            let each = || sample.readings.iter()
                .flat_map(|reading| decode(wire::entry::encode(reading, Some(&from))).readings);
            alone.extend(each());
            if frame {
                mixed.extend(decode(wire::frame::encode(sample, &from)).readings);
            } else {
                mixed.extend(each());
            }
        }
        prop_assert_eq!(&mixed, &alone);
        let evaluate = |readings: Vec<Reading>| {
            let inputs = readings.into_iter()
                .map(|reading| Input::Reading { entry: StreamId::ZERO, by_agent: false, reading });
            Engine::new(rules()).step(inputs).alerts
        };
        prop_assert_eq!(evaluate(mixed), evaluate(alone));
    }
}
