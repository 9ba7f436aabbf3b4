//! The backlog over a disk that fails: readings go on in memory, and nothing spins or hangs.

use std::time::Duration;

use rackwatch_agent::backlog::Backlog;
use rackwatch_agent::config::{AgentName, IdentityConfig, PublishConfig};
use rackwatch_agent::inventory::Inventory;
use rackwatch_agent::sampler::Observed;
use rackwatch_agent::spool::{Spool, SyncPolicy};
use rackwatch_core::reading::Sample;
use rackwatch_core::wire::Seq;
use rackwatch_testing::wait_until;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::disk::Disk;
use super::log::{LARGE, record};
use crate::site::SOON;

async fn spool(disk: &Disk, sync: SyncPolicy) -> (Spool, Option<Seq>) {
    let disk = disk.clone();
    Spool::over(move || Ok(Box::new(disk)), LARGE, sync)
        .await
        .unwrap()
}

/// A backlog of twenty readings in memory, over this disk; the sender fills it.
async fn backlog(disk: &Disk) -> (Backlog, mpsc::Sender<Observed>) {
    let identity = IdentityConfig {
        name: AgentName::new("node7").unwrap(),
        ..IdentityConfig::default()
    };
    let inventory = Inventory::new(&identity, "node7", Vec::new());
    let config = PublishConfig {
        queue: 20.try_into().unwrap(),
        ..PublishConfig::default()
    };
    let (spool, prev) = spool(disk, SyncPolicy::Always).await;
    let backlog = Backlog::new(&config, inventory, "r1", Some(spool), prev);
    let (observe, observed) = mpsc::channel(100);
    tokio::spawn(backlog.clone().fill(observed, CancellationToken::new()));
    tokio::spawn(backlog.clone().spill(CancellationToken::new()));
    (backlog, observe)
}

fn sample(second: u64) -> Sample {
    record(second).sample
}

#[tokio::test]
async fn with_a_disk_that_refuses_the_newest_stay_in_memory() {
    let disk = Disk::default();
    let (backlog, observe) = backlog(&disk).await;
    disk.read_only(true);
    for second in 0..10 {
        observe
            .send(Observed::Sample(sample(second)))
            .await
            .unwrap();
    }
    wait_until(SOON, "the oldest are dropped", async || {
        (backlog.fate().await.dropped == 10).then_some(())
    })
    .await
    .unwrap();
    let fate = backlog.fate().await;
    assert_eq!((fate.waiting, fate.spooled), (20, 0));
    assert!(backlog.wait().await);
    assert_eq!(backlog.next(100).await.entries.len(), 20);
}

#[tokio::test]
async fn a_disk_that_does_not_give_back_what_it_has_is_waited_for() {
    let disk = Disk::default();
    let (backlog, observe) = backlog(&disk).await;
    observe.send(Observed::Sample(sample(0))).await.unwrap();
    wait_until(SOON, "it goes to disk", async || {
        (backlog.fate().await.spooled == 3).then_some(())
    })
    .await
    .unwrap();
    disk.unreadable(true);
    assert!(backlog.wait().await);
    let work = backlog.next(100).await;
    assert_eq!(work.entries, []);
    backlog.done(work, 0).await;
    // It does not ask again and again.
    tokio::select! {
        biased;
        _ = backlog.wait() => panic!("there is nothing to send"),
        () = std::future::ready(()) => {}
    }
    // What is new goes all the same, and the rest when the disk is well again.
    observe.send(Observed::Sample(sample(1))).await.unwrap();
    assert!(backlog.wait().await);
    let work = backlog.next(100).await;
    assert_eq!(work.entries.len(), 3);
    backlog.done(work, 3).await;
    disk.unreadable(false);
    let back = wait_until(SOON, "the disk gives it back", async || {
        assert!(backlog.wait().await);
        let work = backlog.next(100).await;
        let found = work.entries.len();
        backlog.done(work, found).await;
        (found == 1).then_some(())
    });
    back.await.unwrap();
    assert_eq!(backlog.fate().await.spooled, 0);
}

#[tokio::test]
async fn a_disk_that_hangs_is_not_given_the_same_again_and_again() {
    let disk = Disk::default();
    let (mut spool, _) = spool(&disk, SyncPolicy::Never).await;
    let hangs = disk.hang().await;
    // It loses patience, and keeps them.
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
    drop(hangs);
    // The one that was under way got there; those behind it nobody waited for.
    let found = wait_until(SOON, "the disk gives it back", async || {
        Some(spool.first(1000).await).filter(|found| !found.is_empty())
    });
    assert_eq!(found.await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_always_is_said_to_have_survives_a_loss_of_power() {
    let disk = Disk::default();
    let (mut first, _) = spool(&disk, SyncPolicy::Always).await;
    assert_eq!(first.append(vec![record(0), record(1)]).await, 2);
    disk.power_loss();
    let (mut again, last) = spool(&disk, SyncPolicy::Always).await;
    assert_eq!(last, Some(record(1).seq));
    assert_eq!(again.first(1000).await.len(), 2);
}

#[tokio::test]
async fn a_disk_that_cannot_sync_has_each_record_once() {
    let disk = Disk::default();
    let (mut spool, _) = spool(&disk, SyncPolicy::Always).await;
    disk.no_sync(true);
    assert_eq!(spool.append(vec![record(0)]).await, 1);
    disk.no_sync(false);
    assert_eq!(spool.append(vec![record(1)]).await, 1);
    let found = spool.first(1000).await;
    assert_eq!(found.len(), 1, "the second begins another segment");
    assert_eq!(spool.waiting(), 6);
}

#[tokio::test]
async fn a_disk_that_hangs_at_the_start_is_given_up() {
    let (held, hangs) = std::sync::mpsc::channel::<()>();
    let files = move || {
        hangs.recv().unwrap_err();
        Err(std::io::Error::other("given up long ago"))
    };
    let opened = Spool::over(files, LARGE, SyncPolicy::Never).await;
    assert_eq!(opened.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop(held);
}
