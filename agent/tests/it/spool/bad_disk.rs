//! The backlog over a disk that fails: readings stay in memory, and nothing spins or hangs.

use std::time::Duration;

use rackwatch_agent::backlog::Backlog;
use rackwatch_agent::config::{IdentityConfig, PublishConfig};
use rackwatch_agent::host_clock::Moment;
use rackwatch_agent::inventory::Inventory;
use rackwatch_agent::name::Name;
use rackwatch_agent::sampler::SamplerEvent;
use rackwatch_agent::spool::{Opened, Spool, SpoolError, SyncPolicy};
use rackwatch_core::reading::Sample;
use rackwatch_core::wire::Seq;
use rackwatch_runtime::host::HostIds;
use rackwatch_testing::wait_until;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::disk::Disk;
use super::segment_log::{LARGE, record};
use crate::site::SOON;
use rackwatch_agent::spool::files::Files;
use rackwatch_agent::spool::segment_log::Bounds;

async fn spool(disk: &Disk, sync: SyncPolicy) -> (Spool, Option<Seq>) {
    let disk = disk.clone();
    let files = move || Ok(Box::new(disk.clone()) as Box<dyn Files>);
    match Spool::over(files, LARGE, sync).await.unwrap() {
        (spool, Opened::Now(last)) => (spool, last),
        (_, Opened::Later(error)) => panic!("{error}"),
    }
}

/// Returns a backlog of at most twenty readings in memory over this disk, and a sender that fills it.
async fn backlog(disk: &Disk) -> (Backlog, mpsc::Sender<SamplerEvent>) {
    backlog_of(disk, "r1").await
}

/// Returns the backlog of a run.
pub(super) async fn backlog_of(disk: &Disk, run: &str) -> (Backlog, mpsc::Sender<SamplerEvent>) {
    let identity = IdentityConfig {
        name: Name::new("node7").unwrap(),
        ..IdentityConfig::default()
    };
    let inventory = Inventory::new(&identity, HostIds::default(), Vec::new());
    let config = PublishConfig {
        queue: 20.try_into().unwrap(),
        ..PublishConfig::default()
    };
    let (spool, prev) = spool(disk, SyncPolicy::Always).await;
    let backlog = Backlog::new(&config, inventory, run, Some(spool), prev);
    let (events, incoming) = mpsc::channel(100);
    tokio::spawn(backlog.clone().fill(incoming, CancellationToken::new()));
    tokio::spawn(backlog.clone().spill(CancellationToken::new()));
    (backlog, events)
}

fn sample(second: u64) -> Sample {
    record(second).sample
}

#[tokio::test]
async fn with_a_read_only_disk_the_newest_readings_stay_in_memory() {
    let disk = Disk::default();
    let (backlog, events) = backlog(&disk).await;
    disk.read_only(true);
    for second in 0..10 {
        events
            .send(SamplerEvent::Sample(sample(second), Moment::now()))
            .await
            .unwrap();
    }
    wait_until(SOON, "the oldest are dropped", async || {
        (backlog.stats().await.dropped == 10).then_some(())
    })
    .await
    .unwrap();
    let stats = backlog.stats().await;
    assert_eq!((stats.waiting, stats.spooled), (20, 0));
    assert!(backlog.wait().await);
    assert_eq!(backlog.next(100).await.entries.len(), 20);
}

#[tokio::test]
async fn an_unreadable_disk_is_retried_without_blocking_new_readings() {
    let disk = Disk::default();
    let (backlog, events) = backlog(&disk).await;
    events
        .send(SamplerEvent::Sample(sample(0), Moment::now()))
        .await
        .unwrap();
    wait_until(SOON, "it goes to disk", async || {
        (backlog.stats().await.spooled == 3).then_some(())
    })
    .await
    .unwrap();
    disk.unreadable(true);
    assert!(backlog.wait().await);
    let work = backlog.next(100).await;
    assert_eq!(work.entries, []);
    backlog.acknowledge(work, 0).await;
    // It does not retry at once.
    tokio::select! {
        biased;
        _ = backlog.wait() => panic!("there is nothing to send"),
        () = std::future::ready(()) => {}
    }
    // New readings are sent all the same, and the rest once the disk recovers.
    events
        .send(SamplerEvent::Sample(sample(1), Moment::now()))
        .await
        .unwrap();
    assert!(backlog.wait().await);
    let work = backlog.next(100).await;
    assert_eq!(work.entries.len(), 3);
    backlog.acknowledge(work, 3).await;
    disk.unreadable(false);
    let back = wait_until(SOON, "the disk returns the record", async || {
        assert!(backlog.wait().await);
        let work = backlog.next(100).await;
        let found = work.entries.len();
        backlog.acknowledge(work, found).await;
        (found == 1).then_some(())
    });
    back.await.unwrap();
    assert_eq!(backlog.stats().await.spooled, 0);
}

#[tokio::test]
async fn a_hanging_disk_does_not_collect_repeated_records() {
    let disk = Disk::default();
    let (mut spool, _) = spool(&disk, SyncPolicy::Never).await;
    let hang = disk.hang().await;
    // The caller gives up waiting, and keeps the record.
    assert_eq!(spool.append(vec![record(0)]).await, 0);
    let mut refused = 0;
    for _ in 0..20 {
        let tried = timeout(Duration::ZERO, spool.append(vec![record(0)]));
        refused += usize::from(tried.await.is_ok());
    }
    assert!(
        refused > 10,
        "only {refused} of twenty were refused at once"
    );
    drop(hang);
    // The command under way was executed; those behind it had no waiting caller.
    let found = wait_until(SOON, "the disk returns the record", async || {
        Some(spool.front(1000).await).filter(|found| !found.is_empty())
    });
    assert_eq!(found.await.unwrap().len(), 1);
}

#[tokio::test]
async fn appended_records_survive_a_loss_of_power_with_sync_always() {
    let disk = Disk::default();
    let (mut first, _) = spool(&disk, SyncPolicy::Always).await;
    assert_eq!(first.append(vec![record(0), record(1)]).await, 2);
    disk.power_loss();
    let (mut again, last) = spool(&disk, SyncPolicy::Always).await;
    assert_eq!(last, Some(record(1).seq));
    assert_eq!(again.front(1000).await.len(), 2);
}

#[tokio::test]
async fn a_clock_set_forward_drops_nothing() {
    let disk = Disk::default();
    // The record is of a fixed day: days old by this host's clock, as if that had jumped.
    let bounds = Bounds {
        age: Duration::from_hours(1),
        ..LARGE
    };
    for _start in 0..2 {
        let disk = disk.clone();
        let files = move || Ok(Box::new(disk.clone()) as Box<dyn Files>);
        let (mut spool, _) = Spool::over(files, bounds, SyncPolicy::Always)
            .await
            .unwrap();
        spool.append(vec![record(0)]).await;
        assert!(!spool.front(1000).await.is_empty());
        assert_eq!(spool.dropped(), 0);
    }
}

#[tokio::test]
async fn a_failed_sync_duplicates_no_record() {
    let disk = Disk::default();
    let (mut spool, _) = spool(&disk, SyncPolicy::Always).await;
    disk.no_sync(true);
    assert_eq!(spool.append(vec![record(0)]).await, 1);
    disk.no_sync(false);
    assert_eq!(spool.append(vec![record(1)]).await, 1);
    let found = spool.front(1000).await;
    assert_eq!(found.len(), 1, "the second record begins another segment");
    assert_eq!(spool.waiting(), 6);
}

#[tokio::test]
async fn a_disk_that_hangs_at_start_is_used_once_it_answers() {
    let (hang, hanging) = std::sync::mpsc::channel::<()>();
    let disk = Disk::default();
    {
        let (mut spool, _) = spool(&disk, SyncPolicy::Always).await;
        assert_eq!(spool.append(vec![record(0)]).await, 1);
    }
    let slow = disk.clone();
    let files = move || {
        let _released = hanging.recv();
        Ok(Box::new(slow.clone()) as Box<dyn Files>)
    };
    let (mut spool, opened) = Spool::over(files, LARGE, SyncPolicy::Never).await.unwrap();
    assert!(matches!(opened, Opened::Later(SpoolError::NoAnswer(_))));
    assert!(!spool.is_open() && !spool.is_writable() && !spool.is_readable());
    drop(hang);
    wait_until(SOON, "it opens", async || spool.is_open().then_some(()))
        .await
        .unwrap();
    assert_eq!(spool.waiting(), 3);
    assert_eq!(spool.front(1000).await.len(), 1);
}
