//! Tests of the routes of operator actions.

use rackwatch_core::alert::AlertRecord;
use rackwatch_core::incident::{IncidentTiming, Incidents};
use rackwatch_core::wire::alert;

use super::*;

#[tokio::test]
async fn operator_actions_take_effect() {
    let mut site = site(&WebConfig::default());
    let wanted =
        json!({"matcher": {"rack": "B0*"}, "minutes": 30, "reason": "updates\n", "by": "ann"});
    let (status, silence) = site.json(Method::POST, "/api/v1/silences", &wanted).await;
    assert_eq!((status, &silence["reason"]), (201, &json!("updates")));
    let length = silence["until_ms"].as_u64().unwrap() - silence["from_ms"].as_u64().unwrap();
    assert_eq!(Duration::from_millis(length), Duration::from_mins(30));
    assert!(
        matches!(site.actions.recv().await, Some(OperatorAction::SetSilences { silences, .. }) if silences.len() == 1)
    );

    for matcher in [
        json!({"rack": "B07", "devise": "inlet-1"}),
        json!({"rack": "B\u{1b}07"}),
        json!({"rack": ""}),
    ] {
        let body = json!({"matcher": matcher, "minutes": 30});
        let (status, body) = site.json(Method::POST, "/api/v1/silences", &body).await;
        assert_eq!(status, 400, "{body}");
    }
    let by = json!({"matcher": {"rack": "B07"}, "minutes": 30, "by": "ann\u{202e}bob"});
    let (status, body) = site.json(Method::POST, "/api/v1/silences", &by).await;
    assert_eq!(status, 400, "{body}");
    let long = json!({"matcher": {"rack": "B07"}, "minutes": 527_041});
    assert_eq!(
        site.json(Method::POST, "/api/v1/silences", &long).await.0,
        400
    );
    let past = json!({"matcher": {"rack": "B07"}, "minutes": 30, "from": 1000});
    assert_eq!(
        site.json(Method::POST, "/api/v1/windows", &past).await.0,
        400
    );

    let window = json!({"matcher": {"room": "hall-1"}, "cron": "0 22 * * SUN", "zone": "Europe/Berlin", "minutes": 240});
    let (status, window) = site.json(Method::POST, "/api/v1/windows", &window).await;
    assert_eq!(status, 201, "{window}");
    let (_, silences) = site
        .json(Method::GET, "/api/v1/silences", &Value::Null)
        .await;
    assert_eq!(silences["silences"][0]["id"], silence["id"]);
    let (_, windows) = site
        .json(Method::GET, "/api/v1/windows", &Value::Null)
        .await;
    assert!(windows["windows"][0]["next"].is_u64(), "{windows}");
    for (kind, id) in [("silences", &silence["id"]), ("windows", &window["id"])] {
        let path = format!("/api/v1/{kind}/{}", id.as_str().unwrap());
        assert_eq!(site.json(Method::DELETE, &path, &Value::Null).await.0, 204);
        assert_eq!(site.json(Method::DELETE, &path, &Value::Null).await.0, 404);
    }
}

/// A record of a hot inlet, firing or resolved.
fn hot(state: &str) -> AlertRecord {
    let at = (clock::now().millis() - 60_000).to_string();
    let fields = [
        ("type", "high_temp"),
        ("device_id", "inlet-B07-1"),
        ("temperature", "33.0"),
        ("timestamp", &at),
        ("threshold", "32"),
        ("severity", "critical"),
        ("state", state),
        ("alert_id", "a1b2c3d4e5f60708"),
        ("rule", "high_temp"),
        ("since", &at),
    ];
    let bytes = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    alert::decode(&bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_incident_is_resolved_by_hand() {
    let mut site = site(&WebConfig::default());
    let record = hot("firing");
    let placed = rackwatch_core::site::Site::default();
    let mut incidents = Incidents::new(IncidentTiming::default());
    incidents.observe(&record, placed.spot_of(&record, None), clock::now());
    let opened = incidents.advance(clock::now()).records.remove(0);
    let id = opened.id.to_string();
    let path = format!("/api/v1/incidents/{}/resolve", &id[..6]);
    site.model.apply([
        Change::Alert(Box::new(record)),
        Change::Incident(Box::new(opened)),
    ]);
    let body = json!({"by": "ann", "note": "removed\n"});
    let (status, reply) = site.json(Method::POST, &path, &body).await;
    assert_eq!(status, 200, "{reply}");
    assert_eq!(
        reply,
        json!({"incident_id": id, "by": "ann", "alerts": 1, "left": 0})
    );
    let resolutions = site.resolutions.recv().await.unwrap();
    let [(alert, request)] = resolutions.as_slice() else {
        panic!("{resolutions:?}");
    };
    assert_eq!(alert.as_str(), "a1b2c3d4e5f60708");
    assert_eq!(
        (request.by.as_str(), request.note.as_str()),
        ("ann", "removed")
    );
    site.model.apply([Change::Alert(Box::new(hot("resolved")))]);
    let (status, reply) = site.json(Method::POST, &path, &body).await;
    assert_eq!(status, 409, "{reply}");
}

#[tokio::test]
async fn invalid_actions_are_refused() {
    let site = site(&WebConfig::default());
    for (path, body, status) in [
        ("silences", json!({"matcher": {}, "minutes": 30}), 400),
        (
            "silences",
            json!({"matcher": {"rack": "["}, "minutes": 30}),
            400,
        ),
        (
            "silences",
            json!({"matcher": {"rack": "B07"}, "minutes": 0}),
            400,
        ),
        ("silences", json!({"matcher": {"rack": "B07"}}), 400),
        (
            "silences",
            json!({"matcher": {"rack": "B07"}, "minutes": 5, "reason": "x".repeat(501)}),
            400,
        ),
        (
            "silences",
            json!({"matcher": {"rack": "B07"}, "minutes": 5, "reason": "x".repeat(20_000)}),
            413,
        ),
        ("silences", json!("B07"), 400),
        (
            "windows",
            json!({"matcher": {"rack": "B07"}, "minutes": 5}),
            400,
        ),
        (
            "windows",
            json!({"matcher": {"rack": "B07"}, "minutes": 5, "cron": "often"}),
            400,
        ),
        (
            "windows",
            json!({"matcher": {"rack": "B07"}, "minutes": 5, "cron": "0 1 * * *", "zone": "Atlantis"}),
            400,
        ),
        ("incidents/0123456789abcdef/ack", json!({"note": 3}), 400),
        ("incidents/0123456789abcdef/ack", json!({}), 404),
        (
            "incidents/0123456789abcdef/resolve",
            json!({"note": 3}),
            400,
        ),
        ("incidents/0123456789abcdef/resolve", json!({}), 404),
        ("incidents/0/resolve", json!({}), 400),
    ] {
        let (answered, reply) = site
            .json(Method::POST, &format!("/api/v1/{path}"), &body)
            .await;
        assert_eq!(answered, status, "{path} {body}: {reply}");
        assert!(reply["error"].is_string(), "{path}: {reply}");
    }
}
