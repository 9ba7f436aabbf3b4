//! Replies built by hand, in both protocols.

use super::*;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().map(|item| bulk(item)).collect())
}

fn one_entry() -> Value {
    Value::Array(vec![Value::Array(vec![
        bulk("5-1"),
        list(&["f", "1", "f", "2"]),
    ])])
}

fn pair(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (name.into(), value.into())
}

#[test]
fn both_protocols_read_the_same() {
    let resp2 = Value::Array(vec![Value::Array(vec![bulk("s"), one_entry()])]);
    let resp3 = Value::Map(vec![(bulk("s"), one_entry())]);
    let fields = Some(vec![pair("f", "1"), pair("f", "2")]);
    let expected = vec![("s".to_owned(), vec![RawEntry { id: (5, 1), fields }])];
    assert_eq!(streams(resp2).unwrap(), expected);
    assert_eq!(streams(resp3).unwrap(), expected);
}

#[test]
fn a_timeout_reads_nothing() {
    assert_eq!(streams(Value::Nil).unwrap(), vec![]);
}

#[test]
fn trimmed_entries_have_no_fields() {
    for fields in [Value::Nil, list(&[])] {
        let reply = Value::Array(vec![Value::Array(vec![bulk("5-1"), fields]), Value::Nil]);
        assert_eq!(
            entries(reply).unwrap(),
            [RawEntry {
                id: (5, 1),
                fields: None
            }]
        );
    }
}

#[test]
fn another_kind_of_reply_is_an_error_that_shows_no_contents() {
    let wrong = [
        Value::Int(1),
        Value::Array(vec![bulk("secret")]),
        Value::Array(vec![Value::Array(vec![bulk("secret")])]),
        Value::Array(vec![Value::Array(vec![bulk("secret"), list(&["f", "1"])])]),
        Value::Array(vec![Value::Array(vec![bulk("5-1"), list(&["secret"])])]),
        Value::Array(vec![Value::Array(vec![
            bulk("5-1"),
            Value::Array(vec![Value::Nil; 2]),
        ])]),
    ];
    for reply in wrong {
        let error = entries(reply).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    streams(one_entry()).unwrap_err();
}
