//! Event streams: how many there are, and what they report.

use axum::body::BodyDataStream;

use super::*;

/// Applies a reading of 31.25 °C of inlet-B07-1.
fn update(site: &Site) {
    site.model.apply([Change::Reading {
        reading: Reading {
            device: DeviceId::new("inlet-B07-1").unwrap(),
            at: clock::now().plus(Duration::from_secs(1)),
            value: Ok(Celsius::new(31.25).unwrap()),
        },
        by_agent: false,
    }]);
}

/// Returns the next piece of a stream.
async fn next(body: &mut BodyDataStream) -> String {
    let next = std::future::poll_fn(|context| {
        futures_util::Stream::poll_next(std::pin::Pin::new(&mut *body), context)
    });
    String::from_utf8(next.await.unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn event_streams_are_bounded_and_report_changes() {
    let config = WebConfig {
        max_streams: 1,
        ..WebConfig::default()
    };
    let site = site(&config);
    let stream = site
        .ask(Method::GET, "/api/v1/events?rack=B07", "", None)
        .await;
    assert_eq!(stream.status(), StatusCode::OK);
    let second = site.ask(Method::GET, "/api/v1/events", "", None).await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    update(&site);
    let mut body = stream.into_body().into_data_stream();
    let mut text = String::new();
    while !text.contains("31.25") {
        text += &next(&mut body).await;
    }
    assert!(text.starts_with("event: hello\n"), "{text}");
    drop(body);
    let third = site.ask(Method::GET, "/api/v1/events", "", None).await;
    assert_eq!(third.status(), StatusCode::OK, "the permit was returned");
}

#[tokio::test]
async fn one_client_cannot_take_all_event_streams() {
    let config = "max_streams = 2\ntrusted_proxies = ['127.0.0.1']";
    let site = site(&toml::from_str(config).unwrap());
    let open = async |client: &str| {
        let request = Request::builder().uri("/api/v1/events");
        let request = request.header("x-forwarded-for", client);
        let request = request.body(Body::empty()).unwrap();
        site.routes.clone().oneshot(request).await.unwrap()
    };
    let first = open("198.51.100.7").await;
    assert_eq!(first.status(), StatusCode::OK);
    let second = open("198.51.100.7").await;
    assert_eq!(second.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(open("198.51.100.8").await.status(), StatusCode::OK);
    drop(first);
    assert_eq!(open("198.51.100.7").await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_whatever_else_happens() {
    let site = site(&WebConfig::default());
    let stream = site.ask(Method::GET, "/api/v1/events", "", None).await;
    let mut body = stream.into_body().into_data_stream();
    let mut text = String::new();
    while text.matches("event: heartbeat").count() < 3 {
        // An update that this client did not subscribe to.
        update(&site);
        text += &next(&mut body).await;
    }
    assert!(!text.contains("31.25"), "{text}");
}
