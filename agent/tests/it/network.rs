//! The agent over a network that fails: no reading is missing or out of order.

use std::time::Duration;

use rackwatch_testing::{FaultProxy, Program, RedisServer, wait_until};

use crate::site::{SOON, connect, entries};

#[tokio::test]
async fn no_reading_is_lost_to_connections_that_break_hang_or_lose_replies() {
    let server = RedisServer::start().unwrap();
    let proxy = FaultProxy::before(server.port()).unwrap();
    let mut redis = connect(&server).await;
    let mut agent = Program::spawn(
        env!("CARGO_BIN_EXE_rackwatch-agent"),
        &["run"],
        &[
            ("RACKWATCH_REDIS_URL", proxy.url().as_str()),
            ("RACKWATCH_REDIS__RESPONSE_TIMEOUT", "500ms"),
            ("RACKWATCH_SOURCES__HWMON__ENABLED", "false"),
            ("RACKWATCH_SOURCES__SIMULATED__ENABLED", "true"),
            ("RACKWATCH_SOURCES__SIMULATED__INTERVAL", "100ms"),
        ],
    )
    .unwrap();
    let mut there = 0;
    let faults = [
        FaultProxy::cut,
        FaultProxy::lose_answers,
        FaultProxy::freeze,
    ];
    for fault in faults.into_iter().chain(faults) {
        wait_until(SOON, "readings come", async || {
            let found = entries(&mut redis).await.len();
            (found > there + 40).then_some(())
        })
        .await
        .unwrap();
        fault(&proxy);
        there = entries(&mut redis).await.len();
    }
    agent.term().unwrap();
    assert!(agent.wait_exit(Duration::from_secs(10)).unwrap().success());

    let entries = entries(&mut redis).await;
    let mut last = 0;
    let mut again = 0;
    for entry in &entries {
        let n = entry.seq.as_ref().unwrap().n;
        assert!(n <= last + 1, "{} is missing", last + 1);
        again += usize::from(n <= last);
        last = last.max(n);
    }
    assert!(
        again > 0,
        "an answer that was lost makes entries come twice"
    );
    // One line for each change of state, not for each attempt.
    let log = agent.stderr();
    assert!(log.lines().count() < 20, "{log}");
}
