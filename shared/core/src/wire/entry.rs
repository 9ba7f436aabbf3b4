//! Entry format `reading`: one reading for each entry.
//!
//! `device_id`, `temperature` (or `fault`), `timestamp`; agents add `agent` and `seq`.

use super::decoded::{Decoded, provenance, rejected_from};
use super::field;
use super::fields::Lookup;
use super::provenance::Provenance;
use super::reason::Reason;
use crate::device::DeviceId;
use crate::reading::{Fault, Reading};
use crate::units::Celsius;

/// Returns the fields of the entry for `reading`.
pub fn encode(reading: &Reading, from: Option<&Provenance>) -> Vec<(&'static str, String)> {
    let value = match &reading.value {
        Ok(temperature) => (field::TEMPERATURE, temperature.to_string()),
        Err(fault) => (field::FAULT, fault.to_string()),
    };
    let mut fields = vec![
        (field::DEVICE_ID, reading.device.to_string()),
        value,
        (field::TIMESTAMP, reading.at.to_string()),
    ];
    if let Some(from) = from {
        fields.extend(from.encode());
    }
    fields
}

pub(super) fn decode(fields: &Lookup<'_>) -> Decoded {
    reading(fields).unwrap_or_else(|reason| rejected_from(fields, reason))
}

fn reading(fields: &Lookup<'_>) -> Result<Decoded, Reason> {
    let device = DeviceId::new(fields.need(field::DEVICE_ID)?).map_err(Reason::BadDevice)?;
    let value = match (fields.get(field::TEMPERATURE)?, fields.get(field::FAULT)?) {
        (Some(_), Some(_)) => return Err(Reason::ValueAndFault),
        (Some(text), None) => Ok(Celsius::parse(text).map_err(Reason::BadTemperature)?),
        (None, Some(word)) => Err(Fault::new(word).ok_or(Reason::BadFault)?),
        (None, None) => return Err(Reason::Missing(field::TEMPERATURE)),
    };
    let at = fields.timestamp()?;
    Ok(Decoded {
        readings: vec![Reading { device, at, value }],
        ..provenance(fields)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::wire::{Fields, Gap, MAX_FIELD, decode};

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()))
            .collect()
    }

    fn reason(pairs: &[(&str, &str)]) -> String {
        decode(&fields(pairs))
            .reject
            .expect("the entry is rejected")
            .reason
            .to_string()
    }

    #[test]
    fn three_fields_make_a_reading() {
        let decoded = decode(&fields(&[
            ("timestamp", "1700000000000"),
            ("device_id", "inrow-ABC-1"),
            ("temperature", "30.2"),
            ("humidity", "40"),
        ]));
        assert_eq!(decoded.reject, None);
        assert_eq!(decoded.agent, None);
        let reading = &decoded.readings[0];
        assert_eq!(reading.device.as_str(), "inrow-ABC-1");
        assert_eq!(reading.value, Ok(Celsius::new(30.2).unwrap()));
        assert_eq!(
            reading.at,
            Timestamp::from_millis(1_700_000_000_000).unwrap()
        );
    }

    #[test]
    fn rejects_name_what_is_wrong() {
        let id = ("device_id", "a-b-1");
        let at = ("timestamp", "1");
        let t = ("temperature", "1");
        let long = "x".repeat(MAX_FIELD + 1);
        for (pairs, why) in [
            (vec![t, at], "field device_id is missing"),
            (vec![id, at], "field temperature is missing"),
            (vec![id, t], "field timestamp is missing"),
            (vec![id, t, at, at], "field timestamp is there twice"),
            (vec![("device_id", ""), t, at], "field device_id is empty"),
            (
                vec![("device_id", "a b"), t, at],
                "device_id is not a device id: a device id has only A-Z a-z 0-9 . _ : -, this has ' '",
            ),
            (
                vec![id, ("temperature", "NaN"), at],
                "temperature is not finite",
            ),
            (
                vec![id, ("temperature", "1e999"), at],
                "temperature is not finite",
            ),
            (
                vec![id, ("temperature", "warm"), at],
                "temperature is not a decimal number",
            ),
            (
                vec![id, ("temperature", "5000"), at],
                "temperature is outside -273.15 to 1000 °C",
            ),
            (
                vec![id, t, ("timestamp", "now")],
                "timestamp is not whole milliseconds between 1970 and 9999",
            ),
            (
                vec![id, t, ("timestamp", "-1")],
                "timestamp is not whole milliseconds between 1970 and 9999",
            ),
            (
                vec![id, t, ("timestamp", "0")],
                "timestamp is not whole milliseconds between 1970 and 9999",
            ),
            (
                vec![id, t, ("timestamp", "99999999999999999999")],
                "timestamp is not whole milliseconds between 1970 and 9999",
            ),
            (
                vec![id, t, at, ("fault", "timeout")],
                "both temperature and fault are there",
            ),
            (
                vec![id, ("fault", "Bad!"), at],
                "fault is not a word of a-z 0-9 _",
            ),
            (
                vec![id, t, at, ("agent", "a b")],
                "agent is not a name of 1 to 128 visible characters",
            ),
            (
                vec![id, t, at, ("agent", "a"), ("seq", "x")],
                "seq is not <run>-<number>",
            ),
            (
                vec![id, t, at, ("note", &long)],
                "field note has 1048577 bytes, more than 1048576",
            ),
            (vec![("a", "b"); 65], "65 fields, more than 64"),
            (vec![("readings", ""), at], "field readings is empty"),
            (
                vec![("readings", "a-b-1"), at],
                "pair 1 of readings: no = in it",
            ),
        ] {
            assert_eq!(reason(&pairs), why);
        }
        let not_text: Fields = vec![(b"device_id".to_vec(), vec![0xff])];
        assert_eq!(
            decode(&not_text).reject.unwrap().reason,
            Reason::NotText("device_id")
        );
    }

    #[test]
    fn encoded_readings_decode_to_the_same() {
        let from = Provenance {
            prev: Some("r0-9".parse().unwrap()),
            gap: Some(Gap::QueueFull),
            skew: Some(-1_500),
            ..Provenance::new("host1", "r1-7".parse().unwrap())
        };
        for value in [Ok(Celsius::new(21.25).unwrap()), Err(Fault::TIMEOUT)] {
            let reading = Reading {
                device: DeviceId::new("a-b-1").unwrap(),
                at: Timestamp::from_millis(5).unwrap(),
                value,
            };
            let encoded = encode(&reading, Some(&from));
            let pairs: Vec<_> = encoded.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let decoded = decode(&fields(&pairs));
            assert_eq!(decoded.readings, vec![reading]);
            assert_eq!(decoded.agent.as_deref(), Some("host1"));
            assert_eq!(decoded.seq, Some(from.seq.clone()));
            assert_eq!(decoded.prev, from.prev);
            assert_eq!((decoded.gap, decoded.skew), (from.gap, from.skew));
        }
    }
}
