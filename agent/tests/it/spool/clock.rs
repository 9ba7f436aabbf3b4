//! A host's clock that is set while readings wait, in memory, on disk, or for the next run.

use std::time::{Duration, Instant};

use rackwatch_agent::backlog::{Backlog, Work};
use rackwatch_agent::host_clock::Moment;
use rackwatch_agent::sampler::SamplerEvent;
use rackwatch_core::time::Timestamp;
use rackwatch_runtime::clock;
use rackwatch_testing::wait_until;
use tokio::sync::mpsc;

use super::bad_disk::backlog_of;
use super::disk::Disk;
use super::segment_log::record;
use crate::site::SOON;

const HOUR: i64 = 3_600_000;

/// A host whose clock is set by the test; Redis' clock is right.
struct Host {
    began: (Instant, Timestamp),
}

impl Host {
    fn new() -> Self {
        Self {
            began: (Instant::now(), clock::now()),
        }
    }

    fn right(&self, instant: Instant) -> Timestamp {
        self.began.1.plus(instant - self.began.0)
    }

    /// Returns the present moment by a clock that is `ahead` milliseconds ahead.
    fn moment(&self, ahead: i64) -> Moment {
        let instant = Instant::now();
        let by = Duration::from_millis(ahead.unsigned_abs());
        let right = self.right(instant);
        let wall = if ahead < 0 {
            right.minus(by)
        } else {
            right.plus(by)
        };
        Moment { instant, wall }
    }

    fn measure(&self, backlog: &Backlog, ahead: i64) {
        let asked = self.moment(ahead);
        let millis = self.right(asked.instant).millis();
        let redis_time = (millis / 1000, millis % 1000 * 1000);
        backlog.update_skew(asked, Duration::ZERO, redis_time);
    }

    /// Adds a reading that is taken now by a clock that is `ahead` milliseconds ahead.
    async fn read(&self, events: &mpsc::Sender<SamplerEvent>, second: u64, ahead: i64) {
        let sample = record(second).sample;
        let event = SamplerEvent::Sample(sample, self.moment(ahead));
        events.send(event).await.unwrap();
    }
}

/// Returns the next entries once there are `count`.
async fn next(backlog: &Backlog, count: usize) -> Work {
    let work = wait_until(SOON, "the entries", async || {
        assert!(backlog.wait().await);
        let work = backlog.next(100).await;
        if work.entries.len() == count {
            return Some(work);
        }
        backlog.acknowledge(work, 0).await;
        None
    });
    work.await.unwrap()
}

async fn wait_for_disk(backlog: &Backlog, readings: u64) {
    wait_until(SOON, "they go to disk", async || {
        (backlog.stats().await.spooled == readings).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn readings_that_wait_while_the_clock_is_set_report_the_skew_of_their_time() {
    for step in [HOUR, -HOUR] {
        let (host, disk) = (Host::new(), Disk::default());
        disk.read_only(true);
        let (backlog, events) = backlog_of(&disk, "r1").await;
        host.measure(&backlog, step);
        host.read(&events, 0, step).await;
        // Three readings, each an entry of its own.
        let work = next(&backlog, 3).await;
        assert_eq!(work.skews, [Some(step), None, None]);
        backlog.acknowledge(work, 2).await;
        host.read(&events, 1, 0).await;
        host.measure(&backlog, 0);
        let work = next(&backlog, 4).await;
        assert_eq!(work.skews, [None, Some(0), None, None]);
        backlog.acknowledge(work, 4).await;
        // Redis may have lost all of them.
        assert_eq!(backlog.resend(), 6);
        let work = next(&backlog, 6).await;
        assert_eq!(
            work.skews,
            [Some(step), None, None, Some(0), None, None],
            "{step}"
        );
    }
}

#[tokio::test]
async fn readings_on_disk_keep_the_skew_of_their_time() {
    let (host, disk) = (Host::new(), Disk::default());
    let (backlog, events) = backlog_of(&disk, "r1").await;
    // Redis is away when the clock is set: only what is measured later shows by how much.
    host.read(&events, 0, -HOUR).await;
    wait_for_disk(&backlog, 3).await;
    host.read(&events, 1, 500).await;
    wait_for_disk(&backlog, 6).await;
    host.measure(&backlog, 500);
    let work = next(&backlog, 2).await;
    let [Some(before), Some(after)] = work.skews[..] else {
        panic!("{:?}", work.skews);
    };
    assert!(before.abs_diff(-HOUR) < 100, "{before}");
    assert_eq!(after, 500);
}

#[tokio::test]
async fn readings_of_an_earlier_run_keep_the_skew_that_it_measured() {
    let (host, disk) = (Host::new(), Disk::default());
    let (backlog, events) = backlog_of(&disk, "r1").await;
    host.measure(&backlog, HOUR);
    host.read(&events, 0, HOUR).await;
    wait_for_disk(&backlog, 3).await;
    backlog.save().await;
    let (backlog, events) = backlog_of(&disk, "r2").await;
    host.measure(&backlog, 0);
    let work = next(&backlog, 1).await;
    assert_eq!(work.skews, [Some(HOUR)]);
    backlog.acknowledge(work, 1).await;
    host.read(&events, 1, 0).await;
    let work = next(&backlog, 3).await;
    assert_eq!(work.skews, [Some(0), None, None]);
}
