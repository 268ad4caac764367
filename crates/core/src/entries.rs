//! Frames as columns and back, and merges for states that live elsewhere.

use std::collections::BTreeMap;

use crate::block::{Chunk, EntryBytes};
use crate::columns::{Columns, EntryColumns};
use crate::dictionary::{Dictionary, Options, digest_bytes};
use crate::error::Result;
use crate::export::put_entries;
use crate::frame::{CHANGES, DELTA, ENTRIES, Frame, JOURNAL, SNAPSHOT};
use crate::merge::{FrameNodes, Merge, MergeReport};
use crate::stamp::{Dot, ReplicaId, Stamp};
use crate::version::Runs;

const WITH_ENTRIES: [u8; 5] = [DELTA, SNAPSHOT, CHANGES, ENTRIES, JOURNAL];
const TO_MERGE: [u8; 4] = [DELTA, SNAPSHOT, CHANGES, ENTRIES];

/// What [`scratch_merge`] answers besides the winners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// Digest after − digest before, lane by lane.
    pub digest_difference: [u8; 16],
    /// Entries skipped because their stamps lie beyond the limit.
    pub refused: usize,
}

/// Writes the entries of a frame into `out` as columns, in the order of the frame.
///
/// # Errors
///
/// Those of reading a frame.
pub fn decode_entries(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let frame = Frame::read(bytes, &WITH_ENTRIES)?;
    let mut chunk = Chunk::default();
    let checked = frame.check(&mut chunk, &mut |_| {})?;
    let mut columns = Columns::default();
    frame.chunks(&checked, &mut chunk, &mut |chunk| {
        frame.entries(chunk, |key, entry| push_entry(&mut columns, &frame, key, entry));
    });
    columns.write_entries(out);
    Ok(())
}

/// Writes columns into `out` as a frame of entries.
///
/// # Errors
///
/// [`crate::ErrorKind::CorruptBytes`] when the columns are not sound.
pub fn encode_entries(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let columns = EntryColumns::read(bytes)?;
    let mut is_used = vec![false; columns.replicas.len()];
    for at in 0..columns.count {
        let (_, entry) = columns.row(at)?;
        is_used[entry.stamp_replica] = true;
        is_used[entry.dot_replica] = true;
        if let Some((replica, _)) = entry.origin {
            is_used[replica] = true;
        }
    }
    let mut index = Vec::with_capacity(is_used.len());
    let mut replicas = Vec::new();
    for (at, is_used) in is_used.into_iter().enumerate() {
        index.push(replicas.len());
        if is_used {
            replicas.push(columns.replica_id(at));
        }
    }
    // Every row was found sound just above.
    let entries = (0..columns.count).filter_map(|at| columns.row(at).ok()).map(|(key, entry)| {
        let entry = EntryBytes {
            stamp_replica: index[entry.stamp_replica],
            dot_replica: index[entry.dot_replica],
            origin: entry.origin.map(|(replica, counter)| (index[replica], counter)),
            ..entry
        };
        (key, entry)
    });
    out.clear();
    put_entries(&replicas, entries, out);
    Ok(())
}

/// Merges `frame` into the entries of `held`, without versions, horizon or clock; writes the winners into `out` as columns.
///
/// # Errors
///
/// Those of reading frames.
pub fn scratch_merge(
    held: &[u8],
    frame: &[u8],
    now: u64,
    drift_max: u64,
    out: &mut Vec<u8>,
) -> Result<Scratch> {
    let held = Frame::read(held, &[ENTRIES])?;
    let mut chunk = Chunk::default();
    let mut held_chunk = Chunk::default();
    let held_checked = held.check(&mut held_chunk, &mut |_| {})?;
    let frame = Frame::read(frame, &TO_MERGE)?;
    frame.no_difference()?;
    let checked = frame.check(&mut chunk, &mut |_| {})?;
    let mut dictionary = Dictionary::new(&Options { drift_max, ..Options::default() });
    let mut report = MergeReport::default();
    let mut merge = Merge {
        closed: Vec::new(),
        limit: u64::MAX,
        repair: false,
        refusals: Columns::default(),
        winners: None,
        report: &mut report,
    };
    dictionary.merge_entries(
        &held,
        &held_checked,
        &mut held_chunk,
        &mut FrameNodes::new(held.replicas),
        &mut merge,
    );

    let before = dictionary.records.digest;
    merge.limit = dictionary.limit(now);
    merge.winners = Some(vec![false; checked.entries]);
    dictionary.merge_entries(
        &frame,
        &checked,
        &mut chunk,
        &mut FrameNodes::new(frame.replicas),
        &mut merge,
    );

    let winners = merge.winners.unwrap_or_default();
    let mut columns = Columns::default();
    let mut at = 0;
    frame.chunks(&checked, &mut chunk, &mut |chunk| {
        frame.entries(chunk, |key, entry| {
            if winners[at] {
                push_entry(&mut columns, &frame, key, entry);
            }
            at += 1;
        });
    });
    columns.write_entries(out);
    let difference =
        [0, 1, 2, 3].map(|lane| dictionary.records.digest[lane].wrapping_sub(before[lane]));
    Ok(Scratch { digest_difference: digest_bytes(difference), refused: report.refused })
}

fn push_entry(columns: &mut Columns, frame: &Frame<'_>, key: &[u8], entry: &EntryBytes<'_>) {
    let stamp = Stamp { hlc: entry.hlc, replica: frame.replica(entry.stamp_replica) };
    let dot = |(replica, counter): (usize, u64)| -> Dot {
        Dot { replica: frame.replica(replica), counter }
    };
    columns.push_entry(
        key,
        entry.value,
        stamp,
        dot((entry.dot_replica, entry.counter)),
        entry.origin.map(dot),
    );
}

/// How two versions stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionOrder {
    /// Both have seen the same.
    Equal,
    /// The second has seen all that the first has, and more.
    Before,
    /// The first has seen all that the second has, and more.
    After,
    /// Each has seen what the other has not.
    Concurrent,
}

/// Compares two versions by the dots that they have seen.
///
/// # Errors
///
/// Those of reading a version.
pub fn compare_versions(a: &[u8], b: &[u8]) -> Result<VersionOrder> {
    let read = |bytes| Frame::read(bytes, &[crate::frame::VERSION]);
    let (a, b) = (SeenById::of(&read(a)?), SeenById::of(&read(b)?));
    Ok(match (a.covers(&b), b.covers(&a)) {
        (true, true) => VersionOrder::Equal,
        (false, true) => VersionOrder::Before,
        (true, false) => VersionOrder::After,
        (false, false) => VersionOrder::Concurrent,
    })
}

/// A version as runs of dots by replica; V and X make no difference here.
struct SeenById(BTreeMap<ReplicaId, Runs>);

impl SeenById {
    fn of(frame: &Frame<'_>) -> Self {
        let mut seen = Self(BTreeMap::new());
        for (replica, counter) in frame.vector.iter() {
            seen.0.entry(frame.replica(replica)).or_default().add(1, counter);
        }
        frame.end.unwrap_or_default().for_each(|replica, first, last| {
            seen.0.entry(frame.replica(replica)).or_default().add(first, last);
        });
        seen
    }

    fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(id, runs)| {
            let own = self.0.get(id);
            runs.iter().all(|(first, last)| own.is_some_and(|own| own.holds(first, last)))
        })
    }
}
