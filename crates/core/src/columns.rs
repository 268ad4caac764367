//! Entries side by side in columns, as they cross the boundary (ts/engine/columns.ts).
//!
//! Six u32: entries, sections (1 values, 2 previous, 4 meta), replicas, key bytes, value bytes, previous bytes.
//! Then each section from a multiple of 8 bytes on.

use crate::block::{EntryBytes, KEY_BYTES_MAX};
use crate::error::{Error, Result};
use crate::stamp::{COUNTER_MAX, Dot, MILLIS_MAX, ReplicaId, Stamp};
use crate::value::{self, PREFIX, TOMBSTONE, Value};
use crate::version::Nodes;
use crate::wire::Reader;

const VALUES: u32 = 1;
const PREVIOUS: u32 = 2;
const META: u32 = 4;
const NO_ORIGIN: u32 = u32::MAX;

/// Changes without a row.
pub(crate) const NO_CHANGES: [u8; 24] =
    [0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Entries without a row.
pub(crate) const NO_ENTRIES: [u8; 24] =
    [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[derive(Debug, Default)]
struct Payloads {
    ends: Vec<u32>,
    tags: Vec<u8>,
    bytes: Vec<u8>,
}

impl Payloads {
    fn push(&mut self, value: Value<'_>) {
        self.bytes.extend_from_slice(value.payload);
        self.ends.push(length(&self.bytes));
        self.tags.push(value.tag);
    }

    fn clear(&mut self) {
        self.ends.clear();
        self.tags.clear();
        self.bytes.clear();
    }
}

#[derive(Clone, Copy, Debug)]
struct Meta {
    hlc: u64,
    stamp_replica: u32,
    dot: (u32, u64),
    origin: Option<(u32, u64)>,
}

/// Rows on their way out.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    key_ends: Vec<u32>,
    keys: Vec<u8>,
    values: Payloads,
    previous: Payloads,
    meta: Vec<Meta>,
    replicas: Nodes,
}

impl Columns {
    pub fn clear(&mut self) {
        self.key_ends.clear();
        self.keys.clear();
        self.values.clear();
        self.previous.clear();
        self.meta.clear();
        self.replicas = Nodes::default();
    }

    pub fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    pub fn push(&mut self, key: &[u8], value: Value<'_>) {
        self.keys.extend_from_slice(key);
        self.key_ends.push(length(&self.keys));
        self.values.push(value);
    }

    pub fn push_change(&mut self, key: &[u8], before: Value<'_>, after: Value<'_>) {
        self.push(key, after);
        self.previous.push(before);
    }

    pub fn push_entry(
        &mut self,
        key: &[u8],
        value: Value<'_>,
        stamp: Stamp,
        dot: Dot,
        origin: Option<Dot>,
    ) {
        self.push(key, value);
        let meta = Meta {
            hlc: stamp.hlc,
            stamp_replica: self.replicas.intern(stamp.replica),
            dot: (self.replicas.intern(dot.replica), dot.counter),
            origin: origin.map(|origin| (self.replicas.intern(origin.replica), origin.counter)),
        };
        self.meta.push(meta);
    }

    /// Writes keys and values.
    pub fn write_values(&self, out: &mut Vec<u8>) {
        self.write(VALUES, out);
    }

    /// Writes keys, values and what was there before.
    pub fn write_changes(&self, out: &mut Vec<u8>) {
        self.write(VALUES | PREVIOUS, out);
    }

    /// Writes keys, values, stamps, dots and origins.
    pub fn write_entries(&self, out: &mut Vec<u8>) {
        self.write(VALUES | META, out);
    }

    fn write(&self, sections: u32, out: &mut Vec<u8>) {
        out.clear();
        let replicas = if sections & META == 0 { 0 } else { self.replicas.len() };
        let previous = if sections & PREVIOUS == 0 { 0 } else { self.previous.bytes.len() };
        let header = [
            self.key_ends.len(),
            sections as usize,
            replicas,
            self.keys.len(),
            self.values.bytes.len(),
            previous,
        ];
        put_words(out, header.map(fit));
        put_words(out, self.key_ends.iter().copied());
        put_words(out, self.values.ends.iter().copied());
        if sections & PREVIOUS != 0 {
            put_words(out, self.previous.ends.iter().copied());
        }
        if sections & META != 0 {
            self.write_meta(out);
        }
        put_bytes(out, &self.values.tags);
        if sections & PREVIOUS != 0 {
            put_bytes(out, &self.previous.tags);
        }
        put_bytes(out, &self.keys);
        put_bytes(out, &self.values.bytes);
        if sections & PREVIOUS != 0 {
            put_bytes(out, &self.previous.bytes);
        }
    }

    fn write_meta(&self, out: &mut Vec<u8>) {
        let mut index = vec![0; self.replicas.len()];
        for (at, node) in (0_u32..).zip(self.replicas.sorted()) {
            index[node as usize] = at;
        }
        let at = |node: u32| index[node as usize];
        put_numbers(out, self.meta.iter().map(|meta| meta.hlc >> 16));
        put_words(out, self.meta.iter().map(|meta| fit((meta.hlc & 0xffff) as usize)));
        put_words(out, self.meta.iter().map(|meta| at(meta.stamp_replica)));
        put_words(out, self.meta.iter().map(|meta| at(meta.dot.0)));
        put_numbers(out, self.meta.iter().map(|meta| meta.dot.1));
        put_words(
            out,
            self.meta.iter().map(|meta| meta.origin.map_or(NO_ORIGIN, |(node, _)| at(node))),
        );
        put_numbers(
            out,
            self.meta.iter().map(|meta| meta.origin.map_or(0, |(_, counter)| counter)),
        );
        let ids: Vec<u8> =
            self.replicas.sorted().flat_map(|node| self.replicas.id(node).0).collect();
        put_bytes(out, &ids);
    }
}

fn length(bytes: &[u8]) -> u32 {
    fit(bytes.len())
}

fn fit(number: usize) -> u32 {
    u32::try_from(number).expect("columns are shorter than 4 GiB")
}

fn put_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    align(out);
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
}

/// Writes whole numbers as f64, which JavaScript reads at once.
#[expect(clippy::cast_precision_loss, reason = "milliseconds and counters stay below 2^53")]
fn put_numbers(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    align(out);
    out.extend(numbers.flat_map(|number| (number as f64).to_le_bytes()));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    align(out);
    out.extend_from_slice(bytes);
}

/// Sections begin at multiples of 8.
fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Columns from outside: checked row by row as they are read.
pub(crate) struct EntryColumns<'a> {
    pub count: usize,
    pub replicas: &'a [[u8; 16]],
    key_ends: &'a [[u8; 4]],
    value_ends: &'a [[u8; 4]],
    millis: &'a [[u8; 8]],
    counters: &'a [[u8; 4]],
    stamp_replicas: &'a [[u8; 4]],
    dot_replicas: &'a [[u8; 4]],
    dot_counters: &'a [[u8; 8]],
    origin_replicas: &'a [[u8; 4]],
    origin_counters: &'a [[u8; 8]],
    tags: &'a [u8],
    keys: &'a [u8],
    values: &'a [u8],
}

const CORRUPT: Error = Error::corrupt("the columns are not sound");

impl<'a> EntryColumns<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut sections = Sections { length: bytes.len(), rest: Reader::new(bytes) };
        let header = sections.words(6)?;
        let header = [0, 1, 2, 3, 4, 5].map(|at| word(header, at));
        let [count, kinds, replicas, key_bytes, value_bytes, previous_bytes] = header;
        if kinds != (VALUES | META) || previous_bytes != 0 {
            return Err(CORRUPT);
        }
        let [count, replicas, key_bytes, value_bytes] =
            [count, replicas, key_bytes, value_bytes].map(|word| word as usize);
        let columns = Self {
            count,
            key_ends: sections.words(count)?,
            value_ends: sections.words(count)?,
            millis: sections.longs(count)?,
            counters: sections.words(count)?,
            stamp_replicas: sections.words(count)?,
            dot_replicas: sections.words(count)?,
            dot_counters: sections.longs(count)?,
            origin_replicas: sections.words(count)?,
            origin_counters: sections.longs(count)?,
            replicas: sections.take(replicas.saturating_mul(16))?.as_chunks().0,
            tags: sections.take(count)?,
            keys: sections.take(key_bytes)?,
            values: sections.take(value_bytes)?,
        };
        // Where there are rows, the last of them sees to that.
        let is_full = count > 0 || (key_bytes == 0 && value_bytes == 0);
        let is_sorted = columns.replicas.is_sorted_by(|a, b| a < b);
        if sections.rest.is_empty() && is_full && is_sorted { Ok(columns) } else { Err(CORRUPT) }
    }

    /// The key and the rest of row `at`.
    pub fn row(&self, at: usize) -> Result<(&'a [u8], EntryBytes<'a>)> {
        let key = between(self.keys, self.key_ends, at)?;
        let tag = self.tags[at];
        let payload = between(self.values, self.value_ends, at)?;
        let key_is_sound = match tag {
            PREFIX => key.is_empty() || key.last() == Some(&b'/'),
            TOMBSTONE..PREFIX => !key.is_empty(),
            _ => false,
        };
        if !key_is_sound || key.len() > KEY_BYTES_MAX || core::str::from_utf8(key).is_err() {
            return Err(CORRUPT);
        }
        value::check(tag, payload)?;
        let millis = number(self.millis, at, 0, MILLIS_MAX)?;
        let counter = word(self.counters, at);
        if counter > u32::from(u16::MAX) {
            return Err(CORRUPT);
        }
        let origin = match word(self.origin_replicas, at) {
            NO_ORIGIN if self.origin_counters[at] == [0; 8] => None,
            NO_ORIGIN => return Err(CORRUPT),
            _ => Some((
                self.replica(self.origin_replicas, at)?,
                number(self.origin_counters, at, 1, COUNTER_MAX)?,
            )),
        };
        let entry = EntryBytes {
            value: Value { tag, payload },
            hlc: millis << 16 | u64::from(counter),
            stamp_replica: self.replica(self.stamp_replicas, at)?,
            dot_replica: self.replica(self.dot_replicas, at)?,
            counter: number(self.dot_counters, at, 1, COUNTER_MAX)?,
            origin,
        };
        Ok((key, entry))
    }

    pub fn replica_id(&self, index: usize) -> ReplicaId {
        ReplicaId(self.replicas[index])
    }

    fn replica(&self, column: &[[u8; 4]], at: usize) -> Result<usize> {
        let index = word(column, at) as usize;
        if index < self.replicas.len() { Ok(index) } else { Err(CORRUPT) }
    }
}

/// Columns, a section after the other.
struct Sections<'a> {
    length: usize,
    rest: Reader<'a>,
}

impl<'a> Sections<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let at = self.length - self.rest.rest.len();
        let padding = self.rest.take(at.next_multiple_of(8) - at).map_err(|_| CORRUPT)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(CORRUPT);
        }
        self.rest.take(length).map_err(|_| CORRUPT)
    }

    fn words(&mut self, count: usize) -> Result<&'a [[u8; 4]]> {
        self.take(count.saturating_mul(4)).map(|bytes| bytes.as_chunks().0)
    }

    fn longs(&mut self, count: usize) -> Result<&'a [[u8; 8]]> {
        self.take(count.saturating_mul(8)).map(|bytes| bytes.as_chunks().0)
    }
}

fn word(column: &[[u8; 4]], at: usize) -> u32 {
    u32::from_le_bytes(column[at])
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole and within its bounds, as tested"
)]
#[expect(clippy::cast_precision_loss, reason = "the bounds stay below 2^53")]
fn number(column: &[[u8; 8]], at: usize, min: u64, max: u64) -> Result<u64> {
    let number = f64::from_le_bytes(column[at]);
    let is_sound = number.fract() == 0.0 && number >= min as f64 && number <= max as f64;
    if is_sound && !(number == 0.0 && number.is_sign_negative()) {
        Ok(number as u64)
    } else {
        Err(CORRUPT)
    }
}

fn between<'a>(bytes: &'a [u8], ends: &[[u8; 4]], at: usize) -> Result<&'a [u8]> {
    let start = if at == 0 { 0 } else { word(ends, at - 1) as usize };
    let end = word(ends, at) as usize;
    if at + 1 == ends.len() && end != bytes.len() {
        return Err(CORRUPT);
    }
    bytes.get(start..end).ok_or(CORRUPT)
}
