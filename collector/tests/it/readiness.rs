//! `/readyz`, `rackwatch_ready` and the heartbeat: they stop while a stage is stuck, say why, and come back.

use rackwatch_testing::{
    Program, RedisServer, WebhookReceiver, free_port, http_get, wait_until_sync,
};
use redis::{Commands, Connection};

use crate::rig::{DEADLINE, connect, send, wait_all_done};

const START: u64 = 1_795_438_931_000;

/// A collector that counts a stage as stuck after two seconds, with a heartbeat each second.
struct Watched {
    program: Program,
    port: u16,
    monitor: WebhookReceiver,
}

impl Watched {
    fn start(url: &str) -> Self {
        let monitor = WebhookReceiver::start(0).unwrap();
        let port = free_port().unwrap();
        let program = Program::spawn(
            env!("CARGO_BIN_EXE_rackwatch-collector"),
            &[
                "run",
                "--redis",
                url,
                "--listen",
                &format!("127.0.0.1:{port}"),
            ],
            &[
                ("RACKWATCH_PARTITION__LEASE", "1s"),
                ("RACKWATCH_HEALTH__STUCK_AFTER", "2s"),
                ("RACKWATCH_REDIS__RESPONSE_TIMEOUT", "1s"),
                ("RACKWATCH_HEARTBEAT__URL", &monitor.url()),
                ("RACKWATCH_HEARTBEAT__EVERY", "1s"),
            ],
        );
        let started = Self {
            program: program.unwrap(),
            port,
            monitor,
        };
        started.wait_ready("it is ready");
        started
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        http_get(self.port, path).ok()
    }

    fn wait_ready(&self, what: &str) {
        let ready = wait_until_sync(DEADLINE, what, || {
            let (status, body) = self.get("/readyz")?;
            (status == 200).then_some(body)
        });
        let ready = ready.unwrap_or_else(|error| {
            panic!(
                "{error}: {:?}\n{}",
                self.get("/readyz"),
                self.program.stderr()
            )
        });
        assert_eq!(ready, "ready\n");
    }

    /// Waits until `/readyz` fails and says `why`; does `meanwhile` before each look.
    fn wait_not_ready(&self, why: &str, mut meanwhile: impl FnMut()) {
        let mut last = None;
        let failed = wait_until_sync(DEADLINE, "it is not ready", || {
            meanwhile();
            last = self.get("/readyz");
            let (status, body) = last.as_ref()?;
            (*status == 503 && body.contains(why)).then_some(())
        });
        failed.unwrap_or_else(|error| panic!("{error}: {last:?}\n{}", self.program.stderr()));
    }

    fn beats(&self) -> usize {
        self.monitor.requests().len()
    }

    fn wait_beats(&self) {
        let before = self.beats();
        wait_until_sync(DEADLINE, "two heartbeats", || {
            (self.beats() >= before + 2).then_some(())
        })
        .unwrap();
    }
}

/// Claims an entry for another program's consumer.
fn claim(redis: &mut Connection, (stream, group): (&str, &str), id: &str) {
    redis::cmd("XCLAIM")
        .arg(&[stream, group, "stranger", "0", id, "FORCE", "JUSTID"])
        .exec(redis)
        .unwrap();
}

#[test]
fn a_stuck_redis_makes_it_not_ready_and_stops_the_heartbeat_until_it_answers() {
    let server = RedisServer::start().unwrap();
    let collector = Watched::start(&server.url());
    collector.wait_beats();
    server.pause().unwrap();
    collector.wait_not_ready("partition all", || {});
    let (status, body) = collector.get("/metrics").unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("rackwatch_ready 0\n"), "{body}");
    assert_eq!(collector.get("/").unwrap().0, 200);
    assert_eq!(collector.get("/healthz").unwrap().0, 200);
    let stopped = collector
        .program
        .wait_stderr_contains("heartbeat stopped", DEADLINE);
    stopped.unwrap();
    server.resume().unwrap();
    collector.wait_ready("it is ready again");
    collector.wait_beats();
    let (_, body) = collector.get("/metrics").unwrap();
    assert!(body.contains("rackwatch_ready 1\n"), "{body}");
}

#[test]
fn a_reading_that_another_program_keeps_makes_it_not_ready_and_stops_the_heartbeat() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = Watched::start(&server.url());
    send(redis, "inlet-R1-1", START, "22.0");
    wait_all_done(redis);
    let all: redis::streams::StreamRangeReply = redis.xrange_all("raw_sensor_data").unwrap();
    let raw = ("raw_sensor_data", "anomaly_detector_group");
    let id = all.ids[0].id.clone();
    collector.wait_not_ready("partition all: an entry is not committed", || {
        claim(redis, raw, &id);
    });
    wait_until_sync(DEADLINE, "the heartbeat stops", || {
        claim(redis, raw, &id);
        let log = collector.program.stderr();
        log.contains("heartbeat stopped").then_some(())
    })
    .unwrap();
    assert_eq!(collector.get("/api/v1/site").unwrap().0, 200);
    collector.wait_ready("the entry was taken over");
    collector.wait_beats();
}

#[test]
fn an_alert_that_is_not_grouped_makes_the_leader_not_ready_and_stops_the_heartbeat() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = Watched::start(&server.url());
    for second in 0..10 {
        send(redis, "inlet-R1-1", START + second * 1000, "40.0");
    }
    wait_all_done(redis);
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let alerts = ("anomaly_alerts", "alert_correlator_group");
    let id = all.ids[0].id.clone();
    collector.wait_not_ready("correlator: an alert is not grouped", || {
        claim(redis, alerts, &id);
    });
    wait_until_sync(DEADLINE, "the heartbeat stops", || {
        claim(redis, alerts, &id);
        let log = collector.program.stderr();
        log.contains("heartbeat stopped").then_some(())
    })
    .unwrap();
    collector.wait_ready("the alert was taken over");
    collector.wait_beats();
}

#[test]
fn refused_writes_make_it_not_ready_until_they_are_accepted() {
    let server = RedisServer::start().unwrap();
    let redis = &mut connect(&server.url());
    let collector = Watched::start(&server.url());
    let mut limit = |bytes: &str| {
        redis::cmd("CONFIG")
            .arg(&["SET", "maxmemory", bytes])
            .exec(redis)
            .unwrap();
    };
    limit("1kb");
    collector.wait_not_ready("not ready", || {});
    let stopped = collector
        .program
        .wait_stderr_contains("heartbeat stopped", DEADLINE);
    stopped.unwrap();
    limit("0");
    collector.wait_ready("it is ready again");
    collector.wait_beats();
}

#[test]
fn a_standby_is_ready_while_its_leases_answer() {
    let server = RedisServer::start().unwrap();
    let _owner = Watched::start(&server.url());
    let standby = Watched::start(&server.url());
    assert!(!standby.program.stderr().contains("partition taken over"));
    server.pause().unwrap();
    standby.wait_not_ready("leases", || {});
    server.resume().unwrap();
    standby.wait_ready("its leases answer again");
}
