//! Tests of the routes of operator actions.

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
    ] {
        let (answered, reply) = site
            .json(Method::POST, &format!("/api/v1/{path}"), &body)
            .await;
        assert_eq!(answered, status, "{path} {body}: {reply}");
        assert!(reply["error"].is_string(), "{path}: {reply}");
    }
}
