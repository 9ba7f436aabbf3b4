//! Properties of every series backend.

use std::collections::BTreeSet;
use std::time::Duration;

use rackwatch_collector::series::{Aggregate, Resolution, SeriesError};
use rackwatch_core::device::Description;
use rackwatch_core::time::Timestamp;
use redis::cmd;

use super::place::{Place, Server, all, at, celsius, device, minutes, point};

macro_rules! everywhere {
    ($($scenario:ident),* $(,)?) => {
        mod on_time_series {
            $(#[tokio::test] async fn $scenario() {
                super::$scenario(crate::series::place::Place::time_series()).await;
            })*
        }
        mod on_plain_redis {
            $(#[tokio::test] async fn $scenario() {
                super::$scenario(crate::series::place::Place::plain()).await;
            })*
        }
        mod in_memory {
            $(#[tokio::test] async fn $scenario() {
                super::$scenario(crate::series::place::Place::memory()).await;
            })*
        }
    };
}

everywhere!(
    the_right_place_is_found,
    the_first_value_of_a_time_stays,
    late_readings_are_merged_in_order,
    what_is_older_than_the_retention_is_refused,
    a_key_of_another_type_does_not_stop_the_others,
    a_roll_up_that_cannot_be_kept_does_not_stop_its_readings,
    series_come_back_after_flushall,
    minutes_are_rolled_up,
    a_late_reading_changes_its_minute,
    a_restart_in_the_middle_of_a_minute_loses_nothing_of_it,
    ranges_come_in_the_asked_resolution,
    large_batches_are_stored_whole,
    a_sweep_keeps_what_is_young,
    a_rack_of_any_name_has_series,
);

async fn the_right_place_is_found(place: Place) {
    let series = place.open().await;
    let expected = match place.server {
        Server::TimeSeries(_) => "timeseries",
        Server::Plain(_) => "plain",
        Server::Memory => "memory",
    };
    assert_eq!(series.name(), expected);
    // 20,000 devices each second: hundreds of megabytes at least, and less than a terabyte.
    let bytes = series.project(20_000, Duration::from_secs(1));
    assert!((300 << 20..1 << 40).contains(&bytes), "{bytes}");
}

async fn the_first_value_of_a_time_stays(place: Place) {
    let mut series = place.open().await;
    let batch = [
        point("a", 1, 20.1),
        point("b", 1, -5.0),
        point("a", 2, 20.2),
    ];
    let stored = series.store(&batch).await.unwrap();
    assert_eq!((stored.written, stored.duplicates), (3, 0));
    assert_eq!((stored.refused.len(), stored.minutes_refused.len()), (0, 0));

    let again = [
        point("a", 1, 99.0),
        point("b", 1, -5.0),
        point("a", 2, 20.2),
    ];
    let stored = series.store(&again).await.unwrap();
    assert_eq!(stored.written + stored.duplicates, 3);
    assert_eq!(stored.refused, []);

    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw, [(1, 20.1), (2, 20.2)]);
    assert_eq!(all(&mut series, "b", Resolution::Raw).await, [(1, -5.0)]);
    assert_eq!(all(&mut series, "c", Resolution::Raw).await, []);
}

async fn late_readings_are_merged_in_order(place: Place) {
    let mut series = place.open().await;
    series.store(&[point("a", 10, 1.0)]).await.unwrap();
    let late = [
        point("a", 5, 2.0),
        point("a", 3, 3.0),
        point("a", 5, 4.0),
        point("a", 12, 5.0),
    ];
    let stored = series.store(&late).await.unwrap();
    assert_eq!(stored.written + stored.duplicates, 4);
    if series.name() != "timeseries" {
        assert_eq!(stored.duplicates, 1);
    }
    assert_eq!(
        all(&mut series, "a", Resolution::Raw).await,
        [(3, 3.0), (5, 2.0), (10, 1.0), (12, 5.0)]
    );
}

async fn what_is_older_than_the_retention_is_refused(place: Place) {
    let mut series = place.open().await;
    series.store(&[point("a", 8000, 1.0)]).await.unwrap();
    let stored = series
        .store(&[point("a", 700, 2.0), point("a", 8001, 3.0)])
        .await
        .unwrap();
    assert_eq!(stored.written, 1);
    let [(0, reason)] = stored.refused.as_slice() else {
        panic!("{stored:?}");
    };
    assert!(reason.contains("older than"), "{reason}");
    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw, [(8000, 1.0), (8001, 3.0)]);
}

async fn a_key_of_another_type_does_not_stop_the_others(place: Place) {
    let Some(mut admin) = place.connect().await else {
        return;
    };
    let mut series = place.open().await;
    let _: () = cmd("SET")
        .arg(&["sensor:bad:temp", "x"])
        .query_async(&mut admin)
        .await
        .unwrap();
    for second in [1, 2] {
        let batch = [
            point("a", second, 20.0),
            point("bad", second, 21.0),
            point("c", second, 22.0),
        ];
        let stored = series.store(&batch).await.unwrap();
        assert_eq!(stored.written, 2);
        let [(1, reason)] = stored.refused.as_slice() else {
            panic!("{stored:?}");
        };
        assert!(reason.contains("WRONGTYPE"), "{reason}");
    }
    let raw = all(&mut series, "c", Resolution::Raw).await;
    assert_eq!(raw, [(1, 22.0), (2, 22.0)]);
    let end = Timestamp::MAX;
    let error = series
        .range(&device("bad"), Timestamp::default(), end, Resolution::Raw)
        .await
        .unwrap_err();
    assert!(matches!(error, SeriesError::Unreadable { .. }), "{error}");
}

async fn a_roll_up_that_cannot_be_kept_does_not_stop_its_readings(place: Place) {
    let Some(mut admin) = place.connect().await else {
        return;
    };
    let mut series = place.open().await;
    let _: () = cmd("SET")
        .arg(&["sensor:a:temp:1m:avg", "x"])
        .query_async(&mut admin)
        .await
        .unwrap();
    let batch = [point("a", 1, 20.0), point("a", 61, 21.0)];
    let stored = series.store(&batch).await.unwrap();
    assert_eq!((stored.written, stored.minutes_refused.len()), (2, 1));
    let maximum = Resolution::Minutes(Aggregate::Maximum);
    assert_eq!(all(&mut series, "a", maximum).await, [(0, 20.0)]);
}

async fn series_come_back_after_flushall(place: Place) {
    let Some(mut admin) = place.connect().await else {
        return;
    };
    let mut series = place.open().await;
    series
        .store(&[point("a", 1, 20.0), point("a", 65, 21.0)])
        .await
        .unwrap();
    let _: () = cmd("FLUSHALL").query_async(&mut admin).await.unwrap();
    let stored = series.store(&[point("a", 66, 22.0)]).await.unwrap();
    assert_eq!((stored.written, stored.refused.len()), (1, 0));
    // Late, so that the script is needed, which FLUSHALL leaves and SCRIPT FLUSH does not.
    if series.name() == "plain" {
        let _: () = cmd("SCRIPT")
            .arg("FLUSH")
            .query_async(&mut admin)
            .await
            .unwrap();
    }
    series.store(&[point("a", 64, 23.0)]).await.unwrap();
    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw, [(64, 23.0), (66, 22.0)]);
}

async fn minutes_are_rolled_up(place: Place) {
    let mut series = place.open().await;
    let values = [(0, 20.0), (30, 26.0), (59, 23.0), (60, 30.0), (61, 31.0)];
    for (second, value) in values {
        series.store(&[point("a", second, value)]).await.unwrap();
    }
    let [average, minimum, maximum] = minutes(&mut series, "a").await;
    assert_eq!(average, [(0, 23.0)]);
    assert_eq!(minimum, [(0, 20.0)]);
    assert_eq!(maximum, [(0, 26.0)]);

    series.close_idle(at(239)).await.unwrap();
    assert_eq!(minutes(&mut series, "a").await[0].len(), 1, "not yet");
    series.close_idle(at(240)).await.unwrap();
    let [average, minimum, maximum] = minutes(&mut series, "a").await;
    assert_eq!(average, [(0, 23.0), (60, 30.5)]);
    assert_eq!(minimum, [(0, 20.0), (60, 30.0)]);
    assert_eq!(maximum, [(0, 26.0), (60, 31.0)]);
}

async fn a_late_reading_changes_its_minute(place: Place) {
    let mut series = place.open().await;
    let batch = [
        point("a", 0, 20.0),
        point("a", 70, 30.0),
        point("a", 130, 40.0),
    ];
    series.store(&batch).await.unwrap();
    assert_eq!(minutes(&mut series, "a").await[0], [(0, 20.0), (60, 30.0)]);
    // Of a closed minute, of one that had none, and of the open one.
    for (second, value) in [(10, 10.0), (10, 99.0), (125, 42.0)] {
        series.store(&[point("a", second, value)]).await.unwrap();
    }
    series.store(&[point("a", 200, 50.0)]).await.unwrap();
    let [average, minimum, maximum] = minutes(&mut series, "a").await;
    assert_eq!(average, [(0, 15.0), (60, 30.0), (120, 41.0)]);
    assert_eq!(minimum, [(0, 10.0), (60, 30.0), (120, 40.0)]);
    assert_eq!(maximum, [(0, 20.0), (60, 30.0), (120, 42.0)]);

    // The same again changes nothing.
    series.store(&batch).await.unwrap();
    series.store(&[point("a", 10, 98.0)]).await.unwrap();
    assert_eq!(
        minutes(&mut series, "a").await[0],
        [(0, 15.0), (60, 30.0), (120, 41.0)]
    );
}

async fn a_restart_in_the_middle_of_a_minute_loses_nothing_of_it(place: Place) {
    if matches!(place.server, Server::Memory) {
        return;
    }
    let mut first = place.open().await;
    first
        .store(&[point("a", 5, 10.0), point("b", 5, 1.0)])
        .await
        .unwrap();
    drop(first);
    let mut second = place.open().await;
    // The one comes back in the same minute, the other two minutes later.
    second
        .store(&[point("a", 50, 20.0), point("a", 61, 30.0)])
        .await
        .unwrap();
    second.store(&[point("b", 130, 2.0)]).await.unwrap();
    assert_eq!(minutes(&mut second, "a").await[0], [(0, 15.0)]);
    assert_eq!(minutes(&mut second, "b").await[0], [(0, 1.0)]);
}

async fn ranges_come_in_the_asked_resolution(place: Place) {
    let mut series = place.open().await;
    let batch: Vec<_> = (0..40)
        .map(|n| point("a", n, f64::from(u32::try_from(n).unwrap())))
        .collect();
    series.store(&batch).await.unwrap();
    let ten = Duration::from_secs(10);
    let maximum = Resolution::Buckets(ten, Aggregate::Maximum);
    assert_eq!(
        all(&mut series, "a", maximum).await,
        [(0, 9.0), (10, 19.0), (20, 29.0), (30, 39.0)]
    );
    let average = Resolution::Buckets(ten, Aggregate::Average);
    let part = series
        .range(&device("a"), at(5), at(14), average)
        .await
        .unwrap();
    assert_eq!(part, [(at(0), celsius(7.0)), (at(10), celsius(12.0))]);
    let raw = series
        .range(&device("a"), at(5), at(6), Resolution::Raw)
        .await
        .unwrap();
    assert_eq!(raw, [(at(5), celsius(5.0)), (at(6), celsius(6.0))]);
}

async fn large_batches_are_stored_whole(mut place: Place) {
    place.config.max_batch = 7.try_into().unwrap();
    let mut series = place.open().await;
    let names: Vec<_> = (0..20).map(|n| format!("inlet-B07-{n}")).collect();
    for second in [10, 20, 70, 130] {
        let batch: Vec<_> = names.iter().map(|name| point(name, second, 20.5)).collect();
        let stored = series.store(&batch).await.unwrap();
        assert_eq!((stored.written, stored.refused.len()), (20, 0));
    }
    for name in &names {
        assert_eq!(all(&mut series, name, Resolution::Raw).await.len(), 4);
        let [average, ..] = minutes(&mut series, name).await;
        assert_eq!(average, [(0, 20.5), (60, 20.5)]);
    }
}

async fn a_sweep_keeps_what_is_young(place: Place) {
    let mut series = place.open().await;
    let batch: Vec<_> = (0..300).map(|n| point("a", n, 20.0)).collect();
    series.store(&batch).await.unwrap();
    series.store(&[point("a", 3, 20.0)]).await.unwrap();
    series.sweep(at(250 + 7200)).await.unwrap();
    let raw = all(&mut series, "a", Resolution::Raw).await;
    let seconds: BTreeSet<_> = raw.iter().map(|(second, _)| *second).collect();
    assert!((250..300).all(|second| seconds.contains(&second)));
    if series.name() != "timeseries" {
        assert!(raw.len() < 200, "{}", raw.len());
    }
    // Roll-ups live longer.
    assert_eq!(minutes(&mut series, "a").await[0].len(), 4);
    // The device is heard of again.
    series.store(&[point("a", 8000, 25.0)]).await.unwrap();
    let raw = all(&mut series, "a", Resolution::Raw).await;
    assert_eq!(raw.last(), Some(&(8000, 25.0)));
}

/// The module takes no `(`, `)` or `,` in labels.
async fn a_rack_of_any_name_has_series(place: Place) {
    let mut series = place.open().await;
    for (number, rack) in ["B07 (rear)", "B07, left", "100 %", "Halle Süd/3"]
        .into_iter()
        .enumerate()
    {
        let device = device(&format!("inlet-{number}"));
        let description = Description {
            rack: Some(rack.to_owned()),
            ..Description::default()
        };
        series
            .describe(&[(device.clone(), description)])
            .await
            .unwrap();
        let stored = series
            .store(&[point(device.as_str(), 1, 21.0)])
            .await
            .unwrap();
        assert_eq!((stored.written, stored.refused), (1, Vec::new()), "{rack}");
    }
}
