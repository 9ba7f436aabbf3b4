//! Entry format `frame`: all readings of one tick in one entry.
//!
//! `agent`, `seq`, `timestamp`, `readings`, where `readings` is `device=temperature` pairs joined by commas,
//! `device=!fault` for a fault. A bad pair is rejected alone: the good ones beside it are kept.

use std::collections::HashSet;
use std::fmt::Write;

use super::decoded::{Decoded, Reject, provenance, rejected_from};
use super::field;
use super::fields::Lookup;
use super::provenance::Provenance;
use super::reason::Reason;
use crate::device::DeviceId;
use crate::reading::{Fault, Reading, Sample};
use crate::time::Timestamp;
use crate::units::Celsius;

/// Returns the fields of the entry for `sample`.
pub fn encode(sample: &Sample, from: &Provenance) -> Vec<(&'static str, String)> {
    let mut readings = String::with_capacity(sample.readings.len() * 24);
    for reading in &sample.readings {
        if !readings.is_empty() {
            readings.push(',');
        }
        // Writing to a String cannot fail.
        let _ok = match &reading.value {
            Ok(temperature) => write!(readings, "{}={temperature}", reading.device),
            Err(fault) => write!(readings, "{}=!{fault}", reading.device),
        };
    }
    let timestamp = (field::TIMESTAMP, sample.at.to_string());
    let readings = (field::READINGS, readings);
    from.encode().chain([timestamp, readings]).collect()
}

pub(super) fn decode(fields: &Lookup<'_>) -> Decoded {
    frame(fields).unwrap_or_else(|reason| rejected_from(fields, reason))
}

fn frame(fields: &Lookup<'_>) -> Result<Decoded, Reason> {
    let readings = fields.need(field::READINGS)?;
    let at = fields.timestamp()?;
    let mut decoded = provenance(fields)?;
    let mut seen = HashSet::new();
    for (index, text) in readings.split(',').enumerate() {
        let reading = pair(text, at).and_then(|reading| {
            if seen.insert(reading.device.clone()) {
                Ok(reading)
            } else {
                Err(Reason::DeviceTwice)
            }
        });
        match reading {
            Ok(reading) => decoded.readings.push(reading),
            Err(why) => reject(&mut decoded, index, why),
        }
    }
    Ok(decoded)
}

/// Counts a bad pair. The first one gives the reason.
fn reject(decoded: &mut Decoded, index: usize, why: Reason) {
    let reason = Reason::BadPair {
        number: index + 1,
        why: Box::new(why),
    };
    decoded
        .reject
        .get_or_insert(Reject {
            reason,
            readings: 0,
        })
        .readings += 1;
}

fn pair(text: &str, at: Timestamp) -> Result<Reading, Reason> {
    let (device, value) = text.split_once('=').ok_or(Reason::NoEquals)?;
    let device = DeviceId::new(device).map_err(Reason::BadDevice)?;
    let value = match value.strip_prefix('!') {
        Some(word) => Err(Fault::new(word).ok_or(Reason::BadFault)?),
        None => Ok(Celsius::parse(value).map_err(Reason::BadTemperature)?),
    };
    Ok(Reading { device, at, value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Fields, decode};

    fn as_fields(encoded: Vec<(&'static str, String)>) -> Fields {
        encoded
            .into_iter()
            .map(|(n, v)| (n.as_bytes().to_vec(), v.into_bytes()))
            .collect()
    }

    fn frame_of(readings: &str) -> Decoded {
        let at = (field::TIMESTAMP, "5".to_owned());
        decode(&as_fields(vec![at, (field::READINGS, readings.to_owned())]))
    }

    #[test]
    fn a_bad_pair_leaves_the_good_ones() {
        let decoded = frame_of("a-b-1=20.5,a-b-2,a-b-3=!timeout,a-b-4=NaN,a-b-1=3,");
        let devices: Vec<_> = decoded.readings.iter().map(|r| r.device.as_str()).collect();
        assert_eq!(devices, ["a-b-1", "a-b-3"]);
        let reject = decoded.reject.unwrap();
        assert_eq!(reject.reason.to_string(), "pair 2 of readings: no = in it");
        assert_eq!(reject.readings, 4);
    }

    proptest! {
        /// Decoding any text ends, and counts every pair.
        #[test]
        fn any_text_is_either_readings_or_rejects(text in "[a-c=,!.0-9-]{1,60}") {
            let decoded = frame_of(&text);
            let rejected = decoded.reject.map_or(0, |r| r.readings);
            prop_assert_eq!(decoded.readings.len() + rejected, text.split(',').count());
        }

        /// A frame decodes to its sample.
        #[test]
        fn encoded_samples_decode_to_the_same(values in prop::collection::vec(-273.15f64..1000.0, 1..40)) {
            let at = Timestamp::from_millis(1_700_000_000_000).unwrap();
            let readings = values.iter().enumerate().map(|(n, v)| Reading {
                device: DeviceId::new(&format!("inlet-R1-{n}")).unwrap(),
                at,
                value: if n % 7 == 3 { Err(Fault::NO_READING) } else { Ok(Celsius::new(*v).unwrap()) },
            });
            let sample = Sample { at, readings: readings.collect() };
            let from = Provenance::new("host1", "r-1".parse().unwrap());
            let decoded = decode(&as_fields(encode(&sample, &from)));
            prop_assert_eq!(decoded.readings, sample.readings);
            prop_assert_eq!(decoded.reject, None);
        }
    }
}
