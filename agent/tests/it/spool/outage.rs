//! An outage of Redis and its end, through the whole agent on a real disk.

use std::collections::BTreeSet;
use std::time::Duration;

use rackwatch_agent::config::AgentConfig;
use rackwatch_core::wire::Decoded;
use rackwatch_testing::{Program, RedisServer, wait_until};
use tempfile::TempDir;

use crate::fake::{Fake, Reads};
use crate::site::{Agent, SOON, config, connect, entries, wait_for_entries};

fn spooling(server: &RedisServer, folder: &TempDir) -> AgentConfig {
    let mut config = config(server);
    config.spool.path = Some(folder.path().join("spool"));
    config
}

/// Counts the segments.
fn segments(folder: &TempDir) -> usize {
    let Ok(files) = std::fs::read_dir(folder.path().join("spool")) else {
        return 0;
    };
    let names = files.map(|file| file.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".segment"))
        .count()
}

/// Returns the size of the spool in bytes.
fn bytes(folder: &TempDir) -> u64 {
    let Ok(files) = std::fs::read_dir(folder.path().join("spool")) else {
        return 0;
    };
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    sizes.sum()
}

async fn wait_for_the_spool(folder: &TempDir) {
    wait_until(SOON, "readings go to disk", async || {
        (segments(folder) > 0).then_some(())
    })
    .await
    .unwrap();
}

/// Returns the numbers of all readings, entry by entry.
fn numbers<'a>(entries: impl IntoIterator<Item = &'a Decoded>) -> Vec<u64> {
    let numbers = |entry: &Decoded| {
        let last = entry.seq.as_ref().unwrap().n;
        last + 1 - entry.readings.len() as u64..=last
    };
    entries.into_iter().flat_map(numbers).collect()
}

fn counted() -> (Vec<Box<dyn rackwatch_agent::source::Source>>, Reads) {
    let (source, reads) = Fake::counted("inlet");
    (vec![source], reads)
}

#[tokio::test]
async fn readings_of_an_outage_arrive_complete_and_in_order() {
    let folder = TempDir::new().unwrap();
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let (sources, reads) = counted();
    let agent = Agent::start(spooling(&server, &folder), sources);
    wait_for_the_spool(&folder).await;
    reads.wait_for(10).await;
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_until(SOON, "the spool is empty", async || {
        (segments(&folder) == 0).then_some(())
    })
    .await
    .unwrap();
    let before = entries(&mut redis).await.len();
    wait_for_entries(&mut redis, before + 4).await;
    let sent = agent.stop().await.unwrap();
    assert_eq!((sent.dropped, sent.unsent, sent.spooled), (0, 0, 0));

    let entries = entries(&mut redis).await;
    assert!(
        entries[0].readings.len() == 2,
        "the backlog comes as frames"
    );
    assert!(
        entries.last().unwrap().readings.len() == 1,
        "then as configured"
    );
    let all: Vec<_> = (1..=sent.readings).collect();
    assert_eq!(numbers(&entries), all, "each once, in order, no gap");
    let times: Vec<_> = entries.iter().map(|entry| entry.readings[0].at).collect();
    assert!(times.is_sorted());
}

#[tokio::test]
async fn readings_left_at_the_stop_are_sent_after_the_next_start() {
    let folder = TempDir::new().unwrap();
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let (sources, reads) = counted();
    let agent = Agent::start(spooling(&server, &folder), sources);
    reads.wait_for(10).await;
    let sent = agent.stop().await.unwrap();
    assert_eq!((sent.dropped, sent.unsent), (0, 0));
    assert!(sent.spooled >= 18, "{sent:?}");

    server.restart().unwrap();
    let mut redis = connect(&server).await;
    let (sources, _) = counted();
    let agent = Agent::start(spooling(&server, &folder), sources);
    wait_until(SOON, "the new run sends", async || {
        let entries = entries(&mut redis).await;
        let runs = |entry: &Decoded| entry.seq.as_ref().unwrap().run.clone();
        (entries.first().map(runs) != entries.last().map(runs)).then_some(())
    })
    .await
    .unwrap();
    agent.stop().await.unwrap();

    let entries = entries(&mut redis).await;
    let first_run = entries[0].seq.as_ref().unwrap().run.clone();
    let (old, new): (Vec<_>, Vec<_>) = entries
        .iter()
        .partition(|entry| entry.seq.as_ref().unwrap().run == first_run);
    let all: Vec<_> = (1..=sent.spooled).collect();
    assert_eq!(numbers(old.iter().copied()), all);
    let prev = new[0].prev.as_ref().unwrap();
    assert_eq!((&prev.run, prev.n), (&first_run, sent.spooled));
    assert!(new[1..].iter().all(|entry| entry.prev.is_none()));
}

#[tokio::test]
async fn a_small_spool_drops_its_oldest_readings_and_counts_them() {
    let folder = TempDir::new().unwrap();
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let mut config = spooling(&server, &folder);
    config.spool.max_bytes = "8KiB".parse().unwrap();
    let (sources, reads) = counted();
    let agent = Agent::start(config, sources);
    reads.wait_for(150).await;
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    wait_for_entries(&mut redis, 3).await;
    let sent = agent.stop().await.unwrap();
    assert!(sent.dropped > 0, "{sent:?}");

    let entries = entries(&mut redis).await;
    let numbers = numbers(&entries);
    assert_eq!(
        numbers[0],
        sent.dropped + 1,
        "the gap equals the dropped readings"
    );
    let gap = entries[0].gap.map(rackwatch_core::wire::Gap::word);
    assert_eq!(gap, Some("spool_full"));
    let all: Vec<_> = (sent.dropped + 1..=sent.dropped + sent.readings).collect();
    assert_eq!(numbers, all);
}

#[tokio::test]
async fn a_second_agent_cannot_use_the_same_spool() {
    let folder = TempDir::new().unwrap();
    let server = RedisServer::start().unwrap();
    let agent = Agent::start(spooling(&server, &folder), counted().0);
    wait_until(SOON, "the folder is there", async || {
        folder.path().join("spool/lock").exists().then_some(())
    })
    .await
    .unwrap();
    let second = Agent::start(spooling(&server, &folder), counted().0);
    let error = second.ended().await.unwrap_err();
    let output = rackwatch_runtime::error::chain(&error);
    assert!(
        output.contains("spool.path") && output.contains("another agent"),
        "{output}"
    );
    agent.stop().await.unwrap();
}

/// Starts the agent's program on simulated racks.
fn agent(server: &RedisServer, folder: &TempDir) -> Program {
    agent_by(&[env!("CARGO_BIN_EXE_rackwatch-agent")], server, folder)
}

/// Starts it through another command.
fn agent_by(command: &[&str], server: &RedisServer, folder: &TempDir) -> Program {
    let spool = folder.path().join("spool");
    let mut args = command[1..].to_vec();
    args.push("run");
    Program::spawn(
        command[0],
        &args,
        &[
            ("RACKWATCH_REDIS_URL", server.url().as_str()),
            ("RACKWATCH_AGENT__NAME", "node7"),
            ("RACKWATCH_SPOOL__PATH", spool.to_str().unwrap()),
            ("RACKWATCH_SOURCES__HWMON__ENABLED", "false"),
            ("RACKWATCH_SOURCES__SIMULATED__ENABLED", "true"),
            ("RACKWATCH_SOURCES__SIMULATED__INTERVAL", "100ms"),
            ("RACKWATCH_PUBLISH__FORMAT", "frame"),
        ],
    )
    .unwrap()
}

#[tokio::test]
async fn readings_on_disk_survive_a_kill() {
    let folder = TempDir::new().unwrap();
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    for _ in 0..3 {
        let before = bytes(&folder);
        let mut killed = agent(&server, &folder);
        wait_until(SOON, "readings go to disk", async || {
            (bytes(&folder) > before + 500).then_some(())
        })
        .await
        .unwrap();
        killed.kill().unwrap();
    }
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    let mut last = agent(&server, &folder);
    wait_until(
        SOON,
        "all of it is sent, and new readings too",
        async || {
            let entries = entries(&mut redis).await;
            let runs: BTreeSet<_> = entries
                .iter()
                .map(|e| e.seq.as_ref().unwrap().run.clone())
                .collect();
            (segments(&folder) == 0 && runs.len() == 4).then_some(())
        },
    )
    .await
    .unwrap();
    last.term().unwrap();
    assert!(last.wait_exit(Duration::from_secs(10)).unwrap().success());

    let entries = entries(&mut redis).await;
    let mut runs: Vec<&str> = Vec::new();
    let mut next = 0;
    for entry in &entries {
        let seq = entry.seq.as_ref().unwrap();
        if runs.last() != Some(&seq.run.as_str()) {
            assert!(!runs.contains(&seq.run.as_str()), "runs do not mix");
            runs.push(&seq.run);
            next = 0;
        }
        next += entry.readings.len() as u64;
        assert_eq!(seq.n, next, "no gap within a run");
    }
    assert_eq!(runs.len(), 4, "three that were killed, and the last");
}

#[tokio::test]
async fn a_spool_that_cannot_be_opened_at_the_start_is_opened_later() {
    let folder = TempDir::new().unwrap();
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    // A file where the folder should be: its disk is not mounted yet.
    let in_the_way = folder.path().join("spool");
    std::fs::write(&in_the_way, "").unwrap();
    let mut agent = agent(&server, &folder);
    agent
        .wait_stderr_contains("cannot open the spool", SOON)
        .unwrap();
    std::fs::remove_file(&in_the_way).unwrap();
    agent.wait_stderr_contains("spool opened", SOON).unwrap();
    // What waited in memory goes to disk, and survives the agent.
    wait_for_the_spool(&folder).await;
    let log = agent.stderr();
    assert_eq!(log.matches("cannot open the spool").count(), 1, "{log}");
    agent.kill().unwrap();
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    let mut second = self::agent(&server, &folder);
    wait_until(SOON, "the first reading is there", async || {
        let entries = entries(&mut redis).await;
        let first = numbers(entries.first());
        (first.first() == Some(&1)).then_some(())
    })
    .await
    .unwrap();
    second.term().unwrap();
    assert!(second.wait_exit(Duration::from_secs(10)).unwrap().success());
}

/// Command that runs a script with permission to mount file systems.
#[cfg(target_os = "linux")]
const ON_A_SMALL_DISK: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_does_not_stop_the_agent() {
    let mut probe = std::process::Command::new(ON_A_SMALL_DISK[0]);
    let allowed = probe.args(&ON_A_SMALL_DISK[1..]).arg("true").output();
    if !allowed.is_ok_and(|done| done.status.success()) {
        // A container may not be allowed to mount; a fake disk covers the same case.
        eprintln!("skipped: users may not mount file systems here");
        return;
    }
    let folder = TempDir::new().unwrap();
    let spool = folder.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let mut server = RedisServer::start().unwrap();
    server.stop().unwrap();
    let mount = "mount -t tmpfs -o size=32k small \"$1\" && exec \"$0\" run";
    let mut command = ON_A_SMALL_DISK.to_vec();
    command.extend(["sh", "-c", mount]);
    command.push(env!("CARGO_BIN_EXE_rackwatch-agent"));
    command.push(spool.to_str().unwrap());
    let mut agent = agent_by(&command, &server, &folder);
    agent
        .wait_stderr_contains("kept in memory only", Duration::from_secs(60))
        .unwrap();
    server.restart().unwrap();
    let mut redis = connect(&server).await;
    let all_in_order = async || {
        let entries = entries(&mut redis).await;
        let numbers = numbers(&entries);
        let whole = numbers.iter().copied().eq(1..=numbers.len() as u64);
        (whole && agent.stderr().contains("spool is empty again")).then_some(())
    };
    let there = wait_until(SOON, "every reading is there", all_in_order).await;
    assert!(there.is_ok(), "{there:?}: {}", agent.stderr());
    agent.term().unwrap();
    assert!(agent.wait_exit(Duration::from_secs(10)).unwrap().success());
    let output = agent.stderr();
    assert_eq!(output.matches("kept in memory only").count(), 1, "{output}");
}
