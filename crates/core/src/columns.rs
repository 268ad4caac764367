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
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Writes whole numbers as f64, which JavaScript reads at once.
#[expect(clippy::cast_precision_loss, reason = "milliseconds and counters stay below 2^53")]
fn put_numbers(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>) {
    out.extend(numbers.flat_map(|number| (number as f64).to_le_bytes()));
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
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
        let mut reader = Reader::new(bytes);
        let (header, _) = section(&mut reader, 24)?.as_chunks::<4>();
        let header = [0, 1, 2, 3, 4, 5].map(|at| word(header, at));
        let [count, sections, replicas, key_bytes, value_bytes, previous_bytes] = header;
        if sections != (VALUES | META) || previous_bytes != 0 {
            return Err(CORRUPT);
        }
        let [count, replicas, key_bytes, value_bytes] =
            [count, replicas, key_bytes, value_bytes].map(|word| word as usize);
        let columns = Self {
            count,
            key_ends: words(&mut reader, count)?,
            value_ends: words(&mut reader, count)?,
            millis: longs(&mut reader, count)?,
            counters: words(&mut reader, count)?,
            stamp_replicas: words(&mut reader, count)?,
            dot_replicas: words(&mut reader, count)?,
            dot_counters: longs(&mut reader, count)?,
            origin_replicas: words(&mut reader, count)?,
            origin_counters: longs(&mut reader, count)?,
            replicas: section(&mut reader, replicas.saturating_mul(16))?.as_chunks().0,
            tags: section(&mut reader, count)?,
            keys: section(&mut reader, key_bytes)?,
            values: section(&mut reader, value_bytes)?,
        };
        if reader.is_empty() && columns.replicas.is_sorted_by(|a, b| a < b) {
            Ok(columns)
        } else {
            Err(CORRUPT)
        }
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

fn section<'a>(reader: &mut Reader<'a>, length: usize) -> Result<&'a [u8]> {
    let padded = length.checked_next_multiple_of(8).ok_or(CORRUPT)?;
    let (section, padding) = reader.take(padded).map_err(|_| CORRUPT)?.split_at(length);
    if padding.iter().all(|&byte| byte == 0) { Ok(section) } else { Err(CORRUPT) }
}

fn words<'a>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [[u8; 4]]> {
    section(reader, count.saturating_mul(4)).map(|bytes| bytes.as_chunks().0)
}

fn longs<'a>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [[u8; 8]]> {
    section(reader, count.saturating_mul(8)).map(|bytes| bytes.as_chunks().0)
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
