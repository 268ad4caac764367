//! Blocks of entries in columns: docs/format.md, Block.

use crate::error::{Error, Read, corrupt};
use crate::frame::index;
use crate::stamp::{COUNTER_MAX, MILLIS_MAX};
use crate::value::{
    self, DATE, FLOAT, INTEGER, PREFIX, TEXT, TOMBSTONE, VALUE_BYTES_MAX, Value, is_measured,
};
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

/// The columns of a block, and where in the frame each ends.
pub(crate) struct Block<'a> {
    entries: usize,
    columns: [&'a [u8]; COLUMNS],
    ends: [usize; COLUMNS],
}

impl<'a> Block<'a> {
    /// Reads the columns of the next block of a frame that ends, but for its checksum, at `length`.
    pub fn read(reader: &mut Reader<'a>, length: usize) -> Read<Self> {
        let entries = reader.length()?;
        if !(1..=BLOCK_ENTRIES_MAX).contains(&entries) {
            return Err(corrupt!("a block has no 1 to 4,096 entries"));
        }
        let mut block = Self { entries, columns: [&[]; COLUMNS], ends: [0; COLUMNS] };
        let mut last = 0;
        loop {
            let id = reader.byte()?;
            if id == 0 {
                return Ok(block);
            }
            let size = reader.length()?;
            let bytes = reader.take(size)?;
            let at = usize::from(id);
            if id <= last || (bytes.is_empty() && at < COLUMNS) {
                return Err(corrupt!("the columns of a block are out of order"));
            }
            last = id;
            if at < COLUMNS {
                block.columns[at] = bytes;
                block.ends[at] = length - reader.rest.len();
            }
        }
    }

    pub fn ascii(&self) -> Ascii {
        Ascii {
            keys: self.columns[column::KEY_SUFFIXES].is_ascii(),
            payloads: self.columns[column::PAYLOADS].is_ascii(),
        }
    }

    /// Whether another block may follow this one.
    pub fn is_full(&self) -> bool {
        self.entries == BLOCK_ENTRIES_MAX
    }

    /// What the entries will take, keys not shared: entries, bytes of keys, bytes of payloads.
    pub fn expanded(&self) -> Read<(usize, usize, usize)> {
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

/// Entries that are read at once, a column after the other.
const CHUNK: usize = 256;

/// One entry of a chunk.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    hlc: u64,
    counter: u64,
    dot_replica: u32,
    stamp_replica: u32,
    key_end: u32,
    /// Where in the frame the payload is.
    payload: u32,
    payload_length: u32,
    tag: u8,
}

/// Some entries of a block with their keys rebuilt. It outlives the frame for its memory.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    rows: Vec<Row>,
    /// The last key of the chunk before, then those of the rows.
    keys: Vec<u8>,
    first_key: usize,
    origins: Vec<(usize, (usize, u64))>,
}

impl Chunk {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    fn check_utf8(&self) -> Read<()> {
        let keys = core::str::from_utf8(&self.keys).ok();
        let is_sound = keys.is_some_and(|keys| {
            self.rows.iter().all(|row| keys.is_char_boundary(row.key_end as usize))
        });
        if is_sound { Ok(()) } else { Err(corrupt!("a key is no UTF-8")) }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.keys.clear();
        self.first_key = 0;
        self.origins.clear();
    }

    #[inline]
    pub fn key(&self, at: usize) -> &[u8] {
        let start = if at == 0 { self.first_key } else { self.rows[at - 1].key_end as usize };
        &self.keys[start..self.rows[at].key_end as usize]
    }

    #[inline]
    pub fn dot(&self, at: usize) -> (u32, u64) {
        (self.rows[at].dot_replica, self.rows[at].counter)
    }

    #[inline]
    pub fn is_prefix(&self, at: usize) -> bool {
        self.rows[at].tag == PREFIX
    }

    /// The greatest HLC of the chunk.
    pub fn hlc_max(&self) -> u64 {
        self.rows.iter().map(|row| row.hlc).max().unwrap_or(0)
    }

    /// The rest of an entry, out of the bytes of its frame.
    #[inline]
    pub fn entry<'a>(&self, at: usize, frame: &'a [u8]) -> EntryBytes<'a> {
        let row = &self.rows[at];
        let start = row.payload as usize;
        let origin = if self.origins.is_empty() {
            None
        } else {
            self.origins
                .binary_search_by_key(&at, |&(row, _)| row)
                .ok()
                .map(|found| self.origins[found].1)
        };
        EntryBytes {
            value: Value {
                tag: row.tag,
                payload: &frame[start..start + row.payload_length as usize],
            },
            hlc: row.hlc,
            stamp_replica: row.stamp_replica as usize,
            dot_replica: row.dot_replica as usize,
            counter: row.counter,
            origin,
        }
    }

    /// Checks what reading leaves unchecked: keys and values.
    pub fn check(&self, frame: &[u8], ascii: Ascii) -> Read<()> {
        if !ascii.keys {
            self.check_utf8()?;
        }
        for (at, row) in self.rows.iter().enumerate() {
            let key = self.key(at);
            if row.tag == PREFIX {
                if !key.is_empty() && key.last() != Some(&b'/') {
                    return Err(corrupt!("a prefix does not end in a slash"));
                }
            } else if key.is_empty() {
                return Err(corrupt!("a key is empty"));
            }
            // A text in a block of ASCII is well-formed as it is.
            let is_sound = matches!(row.tag, TOMBSTONE..=INTEGER | PREFIX)
                || (row.tag == TEXT && ascii.payloads);
            if !is_sound || row.payload_length as usize >= VALUE_BYTES_MAX {
                let start = row.payload as usize;
                value::check(row.tag, &frame[start..start + row.payload_length as usize])?;
            }
        }
        Ok(())
    }
}

/// Which columns of a block are ASCII all through, as most are: then nothing in them can be ill-formed.
#[derive(Clone, Copy)]
pub(crate) struct Ascii {
    keys: bool,
    payloads: bool,
}

/// Reads one block after the other, chunk by chunk.
pub(crate) struct BlockReader<'a> {
    columns: [Reader<'a>; COLUMNS],
    ends: [usize; COLUMNS],
    left: usize,
    replicas: usize,
    /// The last counter of each replica in this block.
    counters: Vec<u64>,
    writer: Option<(usize, u64)>,
    stamp_writer: Option<(usize, u64)>,
    has_stamp_writers: bool,
    stamp_writers_differ: bool,
    counter_run: Run,
    stamp_run: Run,
    hlc: u64,
    /// How many entries before the next one with an origin.
    next_origin: Option<usize>,
}

/// What is left of a run of tokens, and whether one just ended: two in a row would have been one.
#[derive(Clone, Copy, Default)]
struct Run {
    left: u64,
    ended: bool,
}

impl Run {
    fn begin(&mut self, left: u64) -> Read<()> {
        if self.ended {
            return Err(corrupt!("a run of tokens is cut in two"));
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
            ends: [0; COLUMNS],
            left: 0,
            replicas,
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

    pub fn start(&mut self, block: &Block<'a>, chunk: &mut Chunk) {
        self.columns = block.columns.map(Reader::new);
        self.ends = block.ends;
        self.left = block.entries;
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
        chunk.clear();
    }

    /// Reads the next entries of the block into `chunk`; answers false at its end.
    pub fn next(&mut self, chunk: &mut Chunk) -> Read<bool> {
        if self.left == 0 {
            return self.end().map(|()| false);
        }
        let length = self.left.min(CHUNK);
        chunk.origins.clear();
        self.read_keys(chunk, length)?;
        self.read_tags(&mut chunk.rows)?;
        let writers = &mut self.columns[column::WRITERS];
        runs(writers, &mut self.writer, self.replicas, &mut chunk.rows, |row, replica| {
            row.dot_replica = replica;
        })?;
        if self.has_stamp_writers {
            let writers = &mut self.columns[column::STAMP_WRITERS];
            runs(
                writers,
                &mut self.stamp_writer,
                self.replicas,
                &mut chunk.rows,
                |row, replica| row.stamp_replica = replica,
            )?;
            self.stamp_writers_differ |=
                chunk.rows.iter().any(|row| row.stamp_replica != row.dot_replica);
        } else {
            chunk.rows.iter_mut().for_each(|row| row.stamp_replica = row.dot_replica);
        }
        self.read_counters(&mut chunk.rows)?;
        self.read_stamps(&mut chunk.rows)?;
        self.read_origins(chunk)?;
        self.read_payloads(&mut chunk.rows)?;
        self.left -= length;
        Ok(true)
    }

    /// Whether the block ends as it should: every column used up, every run too.
    fn end(&self) -> Read<()> {
        let is_used = |state: Option<(usize, u64)>| state.is_none_or(|(_, left)| left == 0);
        let is_sound = self.columns.iter().all(Reader::is_empty)
            && self.counter_run.left == 0
            && self.stamp_run.left == 0
            && is_used(self.writer)
            && is_used(self.stamp_writer)
            && self.has_stamp_writers == self.stamp_writers_differ;
        if is_sound { Ok(()) } else { Err(corrupt!("a column of a block does not fit the others")) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "256 keys of at most 1,024 bytes")]
    fn read_keys(&mut self, chunk: &mut Chunk, length: usize) -> Read<()> {
        let Chunk { rows, keys, first_key, .. } = chunk;
        // The last key of the chunk before goes to the front: the first one may share with it.
        let last = if rows.len() > 1 { rows[rows.len() - 2].key_end as usize } else { *first_key };
        keys.drain(..last);
        *first_key = keys.len();
        rows.clear();
        rows.resize(length, Row::default());
        let [_, lengths, suffixes, ..] = &mut self.columns;
        let mut start = 0;
        for row in rows {
            let (shared, suffix) = read_lengths(lengths)?;
            if start + shared > keys.len() || shared + suffix > KEY_BYTES_MAX {
                return Err(corrupt!("the length of a key is out of range"));
            }
            let suffix = suffixes.take(suffix)?;
            let last = core::mem::replace(&mut start, keys.len());
            keys.extend_from_within(last..last + shared);
            keys.extend_from_slice(suffix);
            row.key_end = keys.len() as u32;
        }
        Ok(())
    }

    fn read_tags(&mut self, rows: &mut [Row]) -> Read<()> {
        let is_last = rows.len() == self.left;
        let bytes = self.columns[column::TAGS].take(rows.len().div_ceil(2))?;
        if is_last && rows.len() % 2 == 1 && bytes.last().is_some_and(|last| last >> 4 != 0) {
            return Err(corrupt!("a column of tags is too long"));
        }
        for (two, byte) in rows.chunks_mut(2).zip(bytes) {
            for (row, tag) in two.iter_mut().zip([byte & 15, byte >> 4]) {
                if tag > PREFIX {
                    return Err(corrupt!("a tag is unknown"));
                }
                row.tag = tag;
            }
        }
        Ok(())
    }

    fn read_counters(&mut self, rows: &mut [Row]) -> Read<()> {
        for row in rows {
            let last = &mut self.counters[row.dot_replica as usize];
            let expected = *last + 1;
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
                        return Err(corrupt!("a counter is not in its shortest form"));
                    }
                    expected.checked_add_signed(gap).unwrap_or(0)
                }
            };
            if !(1..=COUNTER_MAX).contains(&counter) {
                return Err(corrupt!("a counter is out of range"));
            }
            *last = counter;
            row.counter = counter;
        }
        Ok(())
    }

    fn read_stamps(&mut self, rows: &mut [Row]) -> Read<()> {
        for row in rows {
            let successor = self.hlc.checked_add(1);
            self.hlc = if self.stamp_run.take() {
                successor.ok_or(STAMP_RANGE)?
            } else {
                self.read_stamp(successor)?
            };
            row.hlc = self.hlc;
        }
        Ok(())
    }

    fn read_stamp(&mut self, successor: Option<u64>) -> Read<u64> {
        let stamps = &mut self.columns[column::STAMPS];
        let token = stamps.varint()?;
        let (value, before) = (token >> 2, self.hlc >> 16);
        let (millis, counter) = match token & 3 {
            0 => {
                self.stamp_run.begin(value)?;
                return successor.ok_or(STAMP_RANGE);
            }
            1 => (before, value),
            2 => (before + value, 0),
            _ => (before.checked_add_signed(unzigzag(value)).ok_or(STAMP_RANGE)?, stamps.varint()?),
        };
        self.stamp_run.ended = false;
        if millis > MILLIS_MAX || counter > u64::from(u16::MAX) {
            return Err(STAMP_RANGE);
        }
        let hlc = millis << 16 | counter;
        if Some(hlc) == successor || token & 3 != stamp_token(before, millis, counter) {
            return Err(corrupt!("a stamp is not in its shortest form"));
        }
        Ok(hlc)
    }

    fn read_origins(&mut self, chunk: &mut Chunk) -> Read<()> {
        let origins = &mut self.columns[column::ORIGINS];
        let mut at = 0;
        loop {
            let Some(gap) = self.next_origin else {
                if origins.is_empty() {
                    return Ok(());
                }
                let gap = usize::try_from(origins.varint()?).unwrap_or(usize::MAX);
                if gap >= self.left - at {
                    return Err(corrupt!("an origin belongs to no entry"));
                }
                self.next_origin = Some(gap);
                continue;
            };
            if at + gap >= chunk.rows.len() {
                self.next_origin = Some(gap - (chunk.rows.len() - at));
                return Ok(());
            }
            self.next_origin = None;
            chunk.origins.push((at + gap, (index(origins, self.replicas)?, counter(origins)?)));
            at += gap + 1;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "frames are shorter than 4 GiB")]
    fn read_payloads(&mut self, rows: &mut [Row]) -> Read<()> {
        for row in rows {
            let id = match row.tag {
                INTEGER | DATE => column::INTEGERS,
                FLOAT => column::FLOATS,
                tag if is_measured(tag) => column::PAYLOADS,
                _ => continue,
            };
            let length = match id {
                column::INTEGERS => None,
                column::FLOATS => Some(8),
                _ => Some(self.columns[column::LENGTHS].length_free()?),
            };
            let column = &mut self.columns[id];
            let before = column.rest.len();
            match length {
                None => column.svarint().map(|_| ())?,
                Some(length) => column.take(length).map(|_| ())?,
            }
            row.payload = (self.ends[id] - before) as u32;
            row.payload_length = (before - column.rest.len()) as u32;
        }
        Ok(())
    }
}

const STAMP_RANGE: &Error = corrupt!("a stamp is out of range");

/// Reads the replicas of `rows` from runs of (index, length − 1); `state` is none before the first.
#[expect(clippy::cast_possible_truncation, reason = "a frame names fewer than 2^32 replicas")]
fn runs(
    column: &mut Reader<'_>,
    state: &mut Option<(usize, u64)>,
    replicas: usize,
    mut rows: &mut [Row],
    set: impl Fn(&mut Row, u32),
) -> Read<()> {
    while !rows.is_empty() {
        let (replica, left) = match *state {
            Some((replica, left)) if left > 0 => (replica, left),
            _ => {
                let replica = index(column, replicas)?;
                if state.is_some_and(|(last, _)| last == replica) {
                    return Err(corrupt!("a run of replicas is cut in two"));
                }
                (replica, column.varint()? + 1)
            }
        };
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rows.len());
        let (run, rest) = rows.split_at_mut(taken);
        for row in run {
            set(row, replica as u32);
        }
        *state = Some((replica, left - taken as u64));
        rows = rest;
    }
    Ok(())
}

/// Which token tells of a stamp that is not the successor of the one before.
fn stamp_token(before: u64, millis: u64, counter: u64) -> u64 {
    match (millis.cmp(&before), counter) {
        (core::cmp::Ordering::Equal, _) => 1,
        (core::cmp::Ordering::Greater, 0) => 2,
        _ => 3,
    }
}

/// The lengths of what a key shares with the last one and of what follows.
#[inline]
fn read_lengths(reader: &mut Reader<'_>) -> Read<(usize, usize)> {
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
