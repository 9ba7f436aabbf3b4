//! Alerts whose episodes were deleted or damaged, as the remedy for a broken key asks.

use rackwatch_testing::{Program, RedisServer, wait_until_sync};
use redis::{Commands, Connection};

use super::{command, now, wait_notified};
use crate::rig::{DEADLINE, connect, running, send, wait_all_done};

const EPISODES: &str = "rackwatch:episodes";

/// Returns (state, `ended_by`) of each record of a limit, in order: the way back is an alert of its own.
fn states(redis: &mut Connection) -> Vec<(String, String)> {
    let all: redis::streams::StreamRangeReply = redis.xrange_all("anomaly_alerts").unwrap();
    let field = |entry: &redis::streams::StreamId, name: &str| {
        entry.get::<String>(name).unwrap_or_default()
    };
    let limits = |entry: &&redis::streams::StreamId| field(entry, "type") == "high_temp";
    let states = all.ids.iter().filter(limits);
    states
        .map(|entry| (field(entry, "state"), field(entry, "ended_by")))
        .collect()
}

fn wait_states(redis: &mut Connection, expected: &[(&str, &str)]) {
    let mut found = Vec::new();
    let reached = wait_until_sync(DEADLINE, "the records are there", || {
        found = states(redis);
        let same = found.iter().map(|(s, e)| (s.as_str(), e.as_str()));
        same.eq(expected.iter().copied()).then_some(())
    });
    assert!(reached.is_ok(), "{found:?} instead of {expected:?}");
}

/// Runs a collector until an alert of `device` has opened an incident, and kills it. Returns the incident's id.
fn hot(redis: &mut Connection, url: &str, device: &str) -> String {
    let mut collector = running(url);
    send(redis, device, now(), "33.8");
    wait_notified(redis, &[("opened", "critical")]);
    collector.kill().unwrap();
    let open: Vec<String> = redis.hkeys("{rackwatch:incidents}:open").unwrap();
    open[0].clone()
}

fn wait_taken_over(collector: &Program) {
    collector
        .wait_stderr_contains("partition taken over", DEADLINE)
        .unwrap();
}

#[test]
fn an_incident_ends_after_the_episodes_were_deleted_as_the_remedy_says() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    hot(redis, &url, "inlet-R1-1");
    let _: () = redis.del(EPISODES).unwrap();
    let _: () = redis.set(EPISODES, "garbage").unwrap();
    send(redis, "inlet-R1-1", now(), "24.0");
    let mut second = running(&url);
    second
        .wait_stderr_contains("rackwatch:episodes is a string", DEADLINE)
        .unwrap();
    second.kill().unwrap();
    let _: () = redis.del(EPISODES).unwrap();
    let _third = running(&url);
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    wait_states(redis, &[("firing", ""), ("resolved", "")]);
}

#[test]
fn an_alert_whose_episode_is_refused_or_gone_stays_open_until_a_reading_ends_it() {
    for refused in [true, false] {
        let server = RedisServer::start().unwrap();
        let (redis, url) = (&mut connect(&server.url()), server.url());
        hot(redis, &url, "inlet-R1-1");
        let fields: Vec<String> = redis.hkeys(EPISODES).unwrap();
        if refused {
            let _: () = redis.hset(EPISODES, &fields[0], "garbage").unwrap();
        } else {
            let _: () = redis.hdel(EPISODES, &fields[0]).unwrap();
        }
        let second = running(&url);
        wait_taken_over(&second);
        // It is the same alert: nothing new was written.
        send(redis, "inlet-R1-1", now(), "33.8");
        wait_all_done(redis);
        assert_eq!(states(redis).len(), 1, "{:?}", states(redis));
        let stored: String = redis.hget(EPISODES, &fields[0]).unwrap();
        assert!(stored.contains("\"v\":1"), "{stored}");
        send(redis, "inlet-R1-1", now(), "24.0");
        wait_states(redis, &[("firing", ""), ("resolved", "")]);
        wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    }
}

#[test]
fn an_alert_that_ended_is_not_made_again_though_its_incident_has_not_heard_of_it() {
    let server = RedisServer::start().unwrap();
    let (redis, url) = (&mut connect(&server.url()), server.url());
    hot(redis, &url, "inlet-R1-1");
    let members: Vec<(String, String)> = redis.hgetall("{rackwatch:incidents}:members").unwrap();
    let open: Vec<(String, String)> = redis.hgetall("{rackwatch:incidents}:open").unwrap();
    let mut second = running(&url);
    send(redis, "inlet-R1-1", now(), "24.0");
    wait_notified(redis, &[("opened", "critical"), ("resolved", "critical")]);
    second.kill().unwrap();
    // As if the correlator had been away.
    for (key, all) in [("members", members), ("open", open)] {
        let key = format!("{{rackwatch:incidents}}:{key}");
        let _: () = redis.hset_multiple(key, &all).unwrap();
    }
    let third = running(&url);
    wait_taken_over(&third);
    assert!(
        !third.stderr().contains("no stored episode"),
        "{}",
        third.stderr()
    );
    // It does not end twice either.
    let id = redis
        .hkeys::<_, Vec<String>>("{rackwatch:incidents}:members")
        .unwrap();
    let (code, _, err) = command(&url, &["alerts", "resolve", &id[0]]);
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(states(redis).len(), 2, "{:?}", states(redis));
}

#[test]
fn an_alert_that_no_collector_knows_ends_by_hand() {
    for command_line in ["alerts", "incidents"] {
        for has_record in [true, false] {
            let server = RedisServer::start().unwrap();
            let (redis, url) = (&mut connect(&server.url()), server.url());
            let incident = hot(redis, &url, "inlet-R1-1");
            let alert = redis
                .hkeys::<_, Vec<String>>("{rackwatch:incidents}:members")
                .unwrap()
                .remove(0);
            // The collector knows of no such alert: as it was loaded, there was none.
            let members: Vec<(String, String)> =
                redis.hgetall("{rackwatch:incidents}:members").unwrap();
            let open: Vec<(String, String)> = redis.hgetall("{rackwatch:incidents}:open").unwrap();
            let _: () = redis
                .del(&[
                    "{rackwatch:incidents}:members",
                    "{rackwatch:incidents}:open",
                ])
                .unwrap();
            let _: () = redis.del(&[EPISODES, "rackwatch:snapshot"]).unwrap();
            if !has_record {
                let _: () = redis.del("anomaly_alerts").unwrap();
            }
            let second = running(&url);
            wait_taken_over(&second);
            for (key, all) in [("members", members), ("open", open)] {
                let key = format!("{{rackwatch:incidents}}:{key}");
                let _: () = redis.hset_multiple(key, &all).unwrap();
            }
            let id = if command_line == "alerts" {
                &alert
            } else {
                &incident
            };
            let (code, out, err) = command(&url, &[command_line, "resolve", id, "--by", "ann"]);
            assert_eq!(code, Some(0), "{err}");
            assert!(out.contains("1 alert"), "{out}");
            let first = has_record.then_some(("firing", ""));
            let expected: Vec<_> = first
                .into_iter()
                .chain([("resolved", "operator")])
                .collect();
            wait_states(redis, &expected);
        }
    }
}
