//! The inputs that the engine receives from a batch.

use std::time::Duration;

use rackwatch_core::engine::Input;
use rackwatch_core::loss_ledger::ReportedSequence;

use super::super::raw_stream::{Batch, DeadLetter, Entry};

/// Returns the descriptions of a batch, then the time that the reader waited for it, then what people resolved, then its
/// entries.
pub(super) fn inputs(batch: Batch) -> impl Iterator<Item = Input> {
    let described = batch.descriptions.into_iter();
    let described = described.map(|(id, known)| Input::Describe(id, known));
    let waited = (!batch.waited.is_zero()).then_some(Input::Waited(batch.waited));
    let resolved = batch.resolutions.into_iter();
    let resolved = resolved.map(|(alert, request)| Input::Resolve(request.subject, alert));
    let entries = batch.entries.into_iter().flat_map(of_entry);
    described.chain(waited).chain(resolved).chain(entries)
}

/// Returns the sequence number of an entry, then its readings.
fn of_entry(entry: Entry) -> impl Iterator<Item = Input> {
    let reported = sequence(&entry).map(|reported| Input::Sequence(Box::new(reported)));
    let (id, by_agent) = (entry.id, entry.decoded.agent.is_some());
    let is_ahead = !entry.ahead.is_zero();
    let ahead = is_ahead.then_some(Input::Ahead(entry.ahead));
    let level = is_ahead.then_some(Input::Ahead(Duration::ZERO));
    let readings = entry.decoded.readings.into_iter();
    // An agent's clock is reported with its sequence number.
    let offset = entry.clock_offset.filter(|_| !by_agent);
    let first = readings.as_slice().first();
    let clock = offset
        .zip(first)
        .map(|(ahead, first)| Input::ClientClock(first.device.clone(), first.at, ahead));
    let readings = readings.map(move |reading| Input::Reading {
        entry: id,
        by_agent,
        reading,
    });
    let inputs = ahead
        .into_iter()
        .chain(reported)
        .chain(clock)
        .chain(readings);
    inputs.chain(level)
}

/// Returns the position of an entry in its agent's sequence, or `None` for a plain client, which does
/// not number its readings.
fn sequence(entry: &Entry) -> Option<ReportedSequence> {
    let decoded = &entry.decoded;
    let refused = decoded.reject.as_ref().map_or(0, |reject| reject.readings);
    let arrived = entry.arrived();
    Some(ReportedSequence {
        agent: decoded.agent.clone()?,
        seq: decoded.seq.clone()?,
        readings: (decoded.readings.len() + refused) as u64,
        at: decoded
            .readings
            .first()
            .map_or(arrived, |reading| reading.at),
        prev: decoded.prev.clone(),
        gap: decoded.gap,
        // An agent that cannot measure its clock: its readings come from the future.
        skew: decoded
            .skew
            .or_else(|| Some(entry.clock_offset?.saturating_mul(1000))),
        arrived,
    })
}

/// Returns the dead letter of an entry that was rejected in whole or in part.
pub(super) fn dead_letter(entry: &Entry) -> Option<DeadLetter> {
    let reject = entry.decoded.reject.as_ref()?;
    Some(DeadLetter {
        id: entry.id,
        reason: reject.reason.to_string(),
        fields: entry.fields.clone(),
    })
}
