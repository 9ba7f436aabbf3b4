//! Replies of a real Redis taken apart.

use rackwatch_runtime::redis::{
    Connection, Connector, Purpose, RawEntry, entries, is_no_group, streams,
};
use rackwatch_testing::RedisServer;
use redis::{RedisResult, Value};

use crate::connecting::with_url;

async fn send(connection: &mut Connection, command: &str) -> RedisResult<Value> {
    let mut words = command.split(' ');
    let mut sent = redis::cmd(words.next().unwrap_or_default());
    for word in words {
        sent.arg(word);
    }
    sent.query_async(connection).await
}

#[tokio::test]
async fn entries_keep_order_and_double_names_and_survive_trimming() {
    let server = RedisServer::start().unwrap();
    for url in [server.url(), format!("{}/?protocol=resp3", server.url())] {
        let connector = Connector::new(&with_url(&url)).unwrap();
        let connection = &mut connector.open(Purpose::Commands).await.unwrap();
        let read = "XREADGROUP GROUP g c STREAMS s";
        let error = send(connection, &format!("{read} >")).await.unwrap_err();
        assert!(is_no_group(&error), "{error:?}");
        for command in [
            "XGROUP CREATE s g $ MKSTREAM",
            "XADD s 5-1 f 1 f 2",
            "XADD s 6-0 g 3",
        ] {
            send(connection, command).await.unwrap();
        }
        let pair = |name: &str, value: &str| (name.into(), value.into());
        let first = RawEntry {
            id: (5, 1),
            fields: Some(vec![pair("f", "1"), pair("f", "2")]),
        };
        let second = RawEntry {
            id: (6, 0),
            fields: Some(vec![pair("g", "3")]),
        };
        let both = vec![first.clone(), second.clone()];

        let range = send(connection, "XRANGE s - +").await.unwrap();
        assert_eq!(entries(range).unwrap(), both);
        let new = send(connection, &format!("{read} >")).await.unwrap();
        assert_eq!(streams(new).unwrap(), [("s".to_owned(), both)]);
        let none = send(connection, &format!("{read} >")).await.unwrap();
        assert_eq!(streams(none).unwrap(), []);

        send(connection, "XDEL s 5-1").await.unwrap();
        let pending = send(connection, &format!("{read} 0")).await.unwrap();
        let trimmed = RawEntry {
            fields: None,
            ..first
        };
        assert_eq!(
            streams(pending).unwrap(),
            [("s".to_owned(), vec![trimmed, second])]
        );
        send(connection, "DEL s").await.unwrap();
    }
}
