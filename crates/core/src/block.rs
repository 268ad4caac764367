//! Blocks of entries in columns: docs/format.md, Block.

use crate::error::{Error, Result};
use crate::frame::index;
use crate::stamp::MILLIS_MAX;
use crate::value::{self, DATE, FLOAT, INTEGER, PREFIX, Value, is_measured};
use crate::version::counter;
use crate::wire::{Reader, put_varint, unzigzag, zigzag};

/// The most entries of a block.
pub(crate) const BLOCK_ENTRIES_MAX: usize = 4_096;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

const COLUMNS: usize = 13;

mod column {
    pub const KEY_LENGTHS: usize = 1;
    pub const KEY_SUFFIXES: usize = 2;
    pub const TAGS: usize = 3;
    pub const WRITERS: usize = 4;
    pub const COUNTERS: usize = 5;
    pub const STAMPS: usize = 6;
    pub const STAMP_WRITERS: usize = 7;
    pub const ORIGINS: usize = 8;
    pub const INTEGERS: usize = 9;
    pub const FLOATS: usize = 10;
    pub const LENGTHS: usize = 11;
    pub const PAYLOADS: usize = 12;
}

/// An entry but for its key; replicas are indices into the table of the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryBytes<'a> {
    pub value: Value<'a>,
    pub hlc: u64,
    pub stamp_replica: usize,
    pub dot_replica: usize,
    pub counter: u64,
    pub origin: Option<(usize, u64)>,
}

impl EntryBytes<'_> {
    pub fn is_prefix(&self) -> bool {
        self.value.tag == PREFIX
    }
}

/// The columns of a block.
pub(crate) struct Block<'a> {
    entries: usize,
    columns: [&'a [u8]; COLUMNS],
}

impl<'a> Block<'a> {
    pub fn read(reader: &mut Reader<'a>) -> Result<Self> {
        let entries = reader.length()?;
        if !(1..=BLOCK_ENTRIES_MAX).contains(&entries) {
            return Err(Error::corrupt("a block has no 1 to 4,096 entries"));
        }
        let mut block = Self { entries, columns: [&[]; COLUMNS] };
        let mut last = 0;
        loop {
            let id = reader.byte()?;
            if id == 0 {
                return Ok(block);
            }
            let length = reader.length()?;
            let bytes = reader.take(length)?;
            if id <= last || (bytes.is_empty() && usize::from(id) < COLUMNS) {
                return Err(Error::corrupt("the columns of a block are out of order"));
            }
            last = id;
            if let Some(column) = block.columns.get_mut(usize::from(id)) {
                *column = bytes;
            }
        }
    }

    /// Whether another block may follow this one.
    pub fn is_full(&self) -> bool {
        self.entries == BLOCK_ENTRIES_MAX
    }

    /// What the entries will take, keys not shared: entries, bytes of keys, bytes of payloads.
    pub fn expanded(&self) -> Result<(usize, usize, usize)> {
        let mut lengths = Reader::new(self.columns[column::KEY_LENGTHS]);
        let mut keys = 0;
        for _ in 0..self.entries {
            let (shared, suffix) = read_lengths(&mut lengths)?;
            keys += shared + suffix;
        }
        let payloads = [column::INTEGERS, column::FLOATS, column::PAYLOADS];
        Ok((self.entries, keys, payloads.iter().map(|&id| self.columns[id].len()).sum()))
    }
}

/// Reads the entries of one block after the other, with the key of the last one.
pub(crate) struct BlockReader<'a> {
    columns: [Reader<'a>; COLUMNS],
    left: usize,
    at: usize,
    replicas: usize,
    key: [u8; KEY_BYTES_MAX],
    key_length: usize,
    /// The last counter of each replica in this block.
    counters: Vec<u64>,
    writer: Option<(usize, u64)>,
    stamp_writer: Option<(usize, u64)>,
    has_stamp_writers: bool,
    stamp_writers_differ: bool,
    counter_run: Run,
    stamp_run: Run,
    hlc: u64,
    next_origin: Option<usize>,
}

/// What is left of a run of tokens, and whether one just ended: two in a row would have been one.
#[derive(Clone, Copy, Default)]
struct Run {
    left: u64,
    ended: bool,
}

impl Run {
    fn begin(&mut self, left: u64) -> Result<()> {
        if self.ended {
            return Err(Error::corrupt("a run of tokens is cut in two"));
        }
        *self = Self { left, ended: true };
        Ok(())
    }

    fn take(&mut self) -> bool {
        let taken = self.left > 0;
        self.left -= u64::from(taken);
        taken
    }
}

impl<'a> BlockReader<'a> {
    pub fn new(replicas: usize) -> Self {
        Self {
            columns: [Reader::new(&[]); COLUMNS],
            left: 0,
            at: 0,
            replicas,
            key: [0; KEY_BYTES_MAX],
            key_length: 0,
            counters: Vec::new(),
            writer: None,
            stamp_writer: None,
            has_stamp_writers: false,
            stamp_writers_differ: false,
            counter_run: Run::default(),
            stamp_run: Run::default(),
            hlc: 0,
            next_origin: None,
        }
    }

    pub fn start(&mut self, block: &Block<'a>) {
        self.columns = block.columns.map(Reader::new);
        self.left = block.entries;
        self.at = 0;
        self.key_length = 0;
        self.counters.clear();
        self.counters.resize(self.replicas, 0);
        self.writer = None;
        self.stamp_writer = None;
        self.has_stamp_writers = !block.columns[column::STAMP_WRITERS].is_empty();
        self.stamp_writers_differ = false;
        self.counter_run = Run::default();
        self.stamp_run = Run::default();
        self.hlc = 0;
        self.next_origin = None;
    }

    /// The key of the entry that `next` answered last.
    #[inline]
    pub fn key(&self) -> &[u8] {
        &self.key[..self.key_length]
    }

    #[inline]
    pub fn next(&mut self) -> Result<Option<EntryBytes<'a>>> {
        if self.left == 0 {
            return self.end().map(|()| None);
        }
        self.read_key()?;
        let tag = self.read_tag()?;
        let dot_replica = run(&mut self.columns[column::WRITERS], &mut self.writer, self.replicas)?;
        let stamp_replica = if self.has_stamp_writers {
            run(&mut self.columns[column::STAMP_WRITERS], &mut self.stamp_writer, self.replicas)?
        } else {
            dot_replica
        };
        self.stamp_writers_differ |= stamp_replica != dot_replica;
        let counter = self.read_counter(dot_replica)?;
        let hlc = self.read_stamp()?;
        let origin = self.read_origin()?;
        let payload = self.read_payload(tag)?;
        self.left -= 1;
        self.at += 1;
        Ok(Some(EntryBytes {
            value: Value { tag, payload },
            hlc,
            stamp_replica,
            dot_replica,
            counter,
            origin,
        }))
    }

    /// Whether the block ends as it should: every column used up, every run too.
    fn end(&self) -> Result<()> {
        let is_used = |state: Option<(usize, u64)>| state.is_none_or(|(_, left)| left == 0);
        let is_sound = self.columns.iter().all(Reader::is_empty)
            && self.counter_run.left == 0
            && self.stamp_run.left == 0
            && is_used(self.writer)
            && is_used(self.stamp_writer)
            && self.has_stamp_writers == self.stamp_writers_differ;
        if is_sound {
            Ok(())
        } else {
            Err(Error::corrupt("a column of a block does not fit the others"))
        }
    }

    /// Checks what `next` leaves unchecked: the key and the value.
    pub fn check(&self, entry: &EntryBytes<'_>) -> Result<()> {
        let key = self.key();
        if entry.is_prefix() {
            if !key.is_empty() && key.last() != Some(&b'/') {
                return Err(Error::corrupt("a prefix does not end in a slash"));
            }
        } else if key.is_empty() {
            return Err(Error::corrupt("a key is empty"));
        }
        if core::str::from_utf8(key).is_err() {
            return Err(Error::corrupt("a key is no UTF-8"));
        }
        value::check(entry.value.tag, entry.value.payload)
    }

    #[inline]
    fn read_key(&mut self) -> Result<()> {
        let (shared, suffix) = read_lengths(&mut self.columns[column::KEY_LENGTHS])?;
        if shared > self.key_length || shared + suffix > KEY_BYTES_MAX {
            return Err(Error::corrupt("the length of a key is out of range"));
        }
        let suffix = self.columns[column::KEY_SUFFIXES].take(suffix)?;
        self.key_length = shared + suffix.len();
        self.key[shared..self.key_length].copy_from_slice(suffix);
        Ok(())
    }

    #[inline]
    fn read_tag(&mut self) -> Result<u8> {
        let tags = &mut self.columns[column::TAGS];
        let tag = if self.at.is_multiple_of(2) {
            let byte = *tags.rest.first().ok_or(Error::corrupt("a column of tags is too short"))?;
            if self.left == 1 {
                tags.byte()?;
                if byte >> 4 != 0 {
                    return Err(Error::corrupt("a column of tags is too long"));
                }
            }
            byte & 15
        } else {
            tags.byte()? >> 4
        };
        if tag <= PREFIX { Ok(tag) } else { Err(Error::corrupt("a tag is unknown")) }
    }

    #[inline]
    fn read_counter(&mut self, writer: usize) -> Result<u64> {
        let expected = self.counters[writer] + 1;
        let counter = if self.counter_run.take() {
            expected
        } else {
            let token = self.columns[column::COUNTERS].varint()?;
            if token & 1 == 0 {
                self.counter_run.begin(token >> 1)?;
                expected
            } else {
                self.counter_run.ended = false;
                let gap = unzigzag(token >> 1);
                if gap == 0 {
                    return Err(Error::corrupt("a counter is not in its shortest form"));
                }
                expected.checked_add_signed(gap).unwrap_or(0)
            }
        };
        if !(1..=crate::stamp::COUNTER_MAX).contains(&counter) {
            return Err(Error::corrupt("a counter is out of range"));
        }
        self.counters[writer] = counter;
        Ok(counter)
    }

    #[inline]
    fn read_stamp(&mut self) -> Result<u64> {
        const RANGE: Error = Error::corrupt("a stamp is out of range");
        let successor = self.hlc.checked_add(1);
        if self.stamp_run.take() {
            self.hlc = successor.ok_or(RANGE)?;
            return Ok(self.hlc);
        }
        let stamps = &mut self.columns[column::STAMPS];
        let token = stamps.varint()?;
        let (value, before) = (token >> 2, self.hlc >> 16);
        let (millis, counter) = match token & 3 {
            0 => {
                self.stamp_run.begin(value)?;
                self.hlc = successor.ok_or(RANGE)?;
                return Ok(self.hlc);
            }
            1 => (before, value),
            2 => (before + value, 0),
            _ => (before.checked_add_signed(unzigzag(value)).ok_or(RANGE)?, stamps.varint()?),
        };
        self.stamp_run.ended = false;
        if millis > MILLIS_MAX || counter > u64::from(u16::MAX) {
            return Err(RANGE);
        }
        self.hlc = millis << 16 | counter;
        if Some(self.hlc) == successor || token & 3 != stamp_token(before, millis, counter) {
            return Err(Error::corrupt("a stamp is not in its shortest form"));
        }
        Ok(self.hlc)
    }

    #[inline]
    fn read_origin(&mut self) -> Result<Option<(usize, u64)>> {
        let origins = &mut self.columns[column::ORIGINS];
        if self.next_origin.is_none() {
            if origins.is_empty() {
                return Ok(None);
            }
            let gap = origins.varint()?;
            let at = usize::try_from(gap).ok().map(|gap| self.at.saturating_add(gap));
            self.next_origin = at.filter(|&at| at < self.at + self.left);
            if self.next_origin.is_none() {
                return Err(Error::corrupt("an origin belongs to no entry"));
            }
        }
        if self.next_origin != Some(self.at) {
            return Ok(None);
        }
        self.next_origin = None;
        Ok(Some((index(origins, self.replicas)?, counter(origins)?)))
    }

    #[inline]
    fn read_payload(&mut self, tag: u8) -> Result<&'a [u8]> {
        match tag {
            INTEGER | DATE => {
                let integers = &mut self.columns[column::INTEGERS];
                let start = integers.rest;
                integers.svarint()?;
                Ok(&start[..start.len() - integers.rest.len()])
            }
            FLOAT => self.columns[column::FLOATS].take(8),
            _ if is_measured(tag) => {
                let length = self.columns[column::LENGTHS].varint()?;
                let length =
                    usize::try_from(length).map_err(|_| Error::corrupt("a value is too long"))?;
                self.columns[column::PAYLOADS].take(length)
            }
            _ => Ok(&[]),
        }
    }
}

/// The lengths of what a key shares with the last one and of what follows.
#[inline]
fn read_lengths(reader: &mut Reader<'_>) -> Result<(usize, usize)> {
    let byte = reader.byte()?;
    let mut length = |nibble: u8| {
        if nibble < 15 {
            Ok(usize::from(nibble))
        } else {
            // Lengths that no key has are refused later, whatever their size.
            Ok(usize::try_from(reader.varint()?).unwrap_or(KEY_BYTES_MAX).min(KEY_BYTES_MAX) + 15)
        }
    };
    Ok((length(byte >> 4)?, length(byte & 15)?))
}

/// Which token tells of a stamp that is not the successor of the one before.
fn stamp_token(before: u64, millis: u64, counter: u64) -> u64 {
    match (millis.cmp(&before), counter) {
        (core::cmp::Ordering::Equal, _) => 1,
        (core::cmp::Ordering::Greater, 0) => 2,
        _ => 3,
    }
}

/// The replica of the next entry, from runs of (index, length − 1); `state` is none before the first.
#[inline]
fn run(
    column: &mut Reader<'_>,
    state: &mut Option<(usize, u64)>,
    replicas: usize,
) -> Result<usize> {
    match state {
        Some((replica, left)) if *left > 0 => {
            *left -= 1;
            Ok(*replica)
        }
        _ => {
            let replica = index(column, replicas)?;
            if state.is_some_and(|(last, _)| last == replica) {
                return Err(Error::corrupt("a run of replicas is cut in two"));
            }
            *state = Some((replica, column.varint()?));
            Ok(replica)
        }
    }
}

/// How many bytes of `key` a block shares with the `last` one: keys never expand above 32 times.
#[inline]
pub(crate) fn shared_length(last: &[u8], key: &[u8]) -> usize {
    let common = last.iter().zip(key).take_while(|(a, b)| a == b).count();
    common.min(key.len() - key.len().div_ceil(32).saturating_sub(1))
}

/// Writes entries as blocks.
#[derive(Debug, Default)]
pub(crate) struct BlockWriter {
    columns: [Vec<u8>; COLUMNS],
    entries: usize,
    key: Vec<u8>,
    counters: Vec<u64>,
    writer: (usize, u64),
    stamp_writer: (usize, u64),
    own_stamps: bool,
    counter_run: u64,
    stamp_run: u64,
    hlc: u64,
    next_origin: usize,
}

impl BlockWriter {
    /// Gets ready for a frame with so many replicas.
    pub fn start(&mut self, replicas: usize) {
        self.counters.clear();
        self.counters.resize(replicas, 0);
        self.reset();
    }

    fn reset(&mut self) {
        self.columns.iter_mut().for_each(Vec::clear);
        self.counters.fill(0);
        self.entries = 0;
        self.key.clear();
        self.writer = (0, 0);
        self.stamp_writer = (0, 0);
        self.own_stamps = true;
        self.counter_run = 0;
        self.stamp_run = 0;
        self.hlc = 0;
        self.next_origin = 0;
    }

    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, key: &[u8], entry: &EntryBytes<'_>) {
        if self.entries == BLOCK_ENTRIES_MAX {
            self.finish(out);
        }
        let shared = shared_length(&self.key, key);
        put_lengths(&mut self.columns[column::KEY_LENGTHS], shared, key.len() - shared);
        self.columns[column::KEY_SUFFIXES].extend_from_slice(&key[shared..]);
        self.key.truncate(shared);
        self.key.extend_from_slice(&key[shared..]);

        let Value { tag, payload } = entry.value;
        let tags = &mut self.columns[column::TAGS];
        match tags.last_mut() {
            Some(last) if self.entries % 2 == 1 => *last |= tag << 4,
            _ => tags.push(tag),
        }
        put_run(&mut self.columns[column::WRITERS], &mut self.writer, entry.dot_replica);
        put_run(
            &mut self.columns[column::STAMP_WRITERS],
            &mut self.stamp_writer,
            entry.stamp_replica,
        );
        self.own_stamps &= entry.stamp_replica == entry.dot_replica;
        self.put_counter(entry.dot_replica, entry.counter);
        self.put_stamp(entry.hlc);
        if let Some((replica, counter)) = entry.origin {
            let origins = &mut self.columns[column::ORIGINS];
            put_varint(origins, (self.entries - self.next_origin) as u64);
            put_varint(origins, replica as u64);
            put_varint(origins, counter);
            self.next_origin = self.entries + 1;
        }
        match tag {
            INTEGER | DATE => self.columns[column::INTEGERS].extend_from_slice(payload),
            FLOAT => self.columns[column::FLOATS].extend_from_slice(payload),
            _ if is_measured(tag) => {
                put_varint(&mut self.columns[column::LENGTHS], payload.len() as u64);
                self.columns[column::PAYLOADS].extend_from_slice(payload);
            }
            _ => {}
        }
        self.entries += 1;
    }

    /// Ends the block, if one was begun.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.entries == 0 {
            return;
        }
        end_run(&mut self.columns[column::WRITERS], self.writer);
        end_run(&mut self.columns[column::STAMP_WRITERS], self.stamp_writer);
        if self.own_stamps {
            self.columns[column::STAMP_WRITERS].clear();
        }
        self.end_counters();
        self.end_stamps();
        put_varint(out, self.entries as u64);
        for (id, column) in (0_u8..).zip(&self.columns) {
            if !column.is_empty() {
                out.push(id);
                put_varint(out, column.len() as u64);
                out.extend_from_slice(column);
            }
        }
        out.push(0);
        self.reset();
    }

    fn put_counter(&mut self, writer: usize, counter: u64) {
        let expected = self.counters[writer] + 1;
        self.counters[writer] = counter;
        if counter == expected {
            self.counter_run += 1;
            return;
        }
        self.end_counters();
        let gap = counter.cast_signed() - expected.cast_signed();
        put_varint(&mut self.columns[column::COUNTERS], zigzag(gap) << 1 | 1);
    }

    fn end_counters(&mut self) {
        if self.counter_run > 0 {
            put_varint(&mut self.columns[column::COUNTERS], (self.counter_run - 1) << 1);
            self.counter_run = 0;
        }
    }

    fn put_stamp(&mut self, hlc: u64) {
        let last = core::mem::replace(&mut self.hlc, hlc);
        if last.checked_add(1) == Some(hlc) {
            self.stamp_run += 1;
            return;
        }
        self.end_stamps();
        let stamps = &mut self.columns[column::STAMPS];
        let (before, millis, counter) = (last >> 16, hlc >> 16, hlc & 0xffff);
        match stamp_token(before, millis, counter) {
            1 => put_varint(stamps, counter << 2 | 1),
            2 => put_varint(stamps, (millis - before) << 2 | 2),
            _ => {
                put_varint(stamps, zigzag(millis.cast_signed() - before.cast_signed()) << 2 | 3);
                put_varint(stamps, counter);
            }
        }
    }

    fn end_stamps(&mut self) {
        if self.stamp_run > 0 {
            put_varint(&mut self.columns[column::STAMPS], (self.stamp_run - 1) << 2);
            self.stamp_run = 0;
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a nibble each")]
fn put_lengths(out: &mut Vec<u8>, shared: usize, suffix: usize) {
    out.push((shared.min(15) << 4 | suffix.min(15)) as u8);
    for length in [shared, suffix] {
        if length >= 15 {
            put_varint(out, length as u64 - 15);
        }
    }
}

fn put_run(out: &mut Vec<u8>, state: &mut (usize, u64), replica: usize) {
    if state.0 == replica {
        state.1 += 1;
    } else {
        end_run(out, *state);
        *state = (replica, 1);
    }
}

fn end_run(out: &mut Vec<u8>, (replica, length): (usize, u64)) {
    if length > 0 {
        put_varint(out, replica as u64);
        put_varint(out, length - 1);
    }
}
