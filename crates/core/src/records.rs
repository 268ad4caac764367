//! Where entries live: records with their keys inline in one arena, found by an open-addressing table,
//! and the log that has them in order of arrival.
//!
//! A record is 36 bytes and the key, padded to 4:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | HLC |
//! | 8 | 8 | dot: node << 40 \| counter |
//! | 16 | 8 | payload: up to 8 bytes inline, else place in the value heap << 24 \| length |
//! | 24 | 4 | place in the log |
//! | 28 | 4 | node of the stamp |
//! | 32 | 4 | key length (11 bits), tag (4), inline length (4; 15: in the heap), marks |

mod log;
mod packing;
mod table;

use std::collections::BTreeMap;

use log::Log;
pub(crate) use packing::Moved;
use table::Table;

use crate::hash::{Lanes, entry_hash, table_hash};
use crate::prefetch::prefetch;
use crate::stamp::{ReplicaId, Stamp};
use crate::value::{PREFIX, Value, is_live};
use crate::version::Nodes;

/// A record: its place in the arena, in units of 4 bytes. 0 is none.
pub(crate) type Record = u32;

pub(crate) const HEADER: usize = 36;
/// Where words lie in a record.
const PLACE: usize = 24;
const STAMP_NODE: usize = 28;
const META: usize = 32;
const KEY_BITS: u32 = 11;
const KEY_MASK: u32 = (1 << KEY_BITS) - 1;
const TAG_SHIFT: u32 = KEY_BITS;
const INLINE_SHIFT: u32 = TAG_SHIFT + 4;
const IN_HEAP: u32 = 15;
const HAS_ORIGIN: u32 = 1 << 19;
const DROPPED: u32 = 1 << 20;

/// The name of a write and, after a re-read, its first name; by node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeDot {
    pub node: u32,
    pub counter: u64,
}

/// Everything of an entry but its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub value: Value<'a>,
    pub hlc: u64,
    pub stamp_node: u32,
    pub dot: NodeDot,
    pub origin: Option<NodeDot>,
}

/// A former state of a record: enough to put it back while nothing is packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Former {
    header: [u8; HEADER],
    origin: Option<NodeDot>,
}

#[derive(Debug)]
pub(crate) struct Records {
    seed: [u64; 2],
    arena: Vec<u8>,
    heap: Vec<u8>,
    table: Table,
    /// Entries held, prefix tombstones included; of them with a value.
    held: usize,
    live: usize,
    wasted_arena: usize,
    wasted_heap: usize,
    log: Log,
    origins: BTreeMap<Record, NodeDot>,
    pub digest: Lanes,
    /// While a transaction is open: nothing is overwritten in the heap, nothing is packed.
    pub keep_former: bool,
}

impl Records {
    /// An empty one whose log begins at `head`.
    pub fn new(seed: [u64; 2], head: u64) -> Self {
        Self {
            seed,
            // Record 0 is none.
            arena: vec![0; 4],
            heap: Vec::new(),
            table: Table::new(),
            held: 0,
            live: 0,
            wasted_arena: 0,
            wasted_heap: 0,
            log: Log::new(head),
            origins: BTreeMap::new(),
            digest: [0; 4],
            keep_former: false,
        }
    }

    /// Makes room for so many more entries with so many bytes of keys.
    pub fn reserve(&mut self, entries: usize, key_bytes: usize) {
        self.table.reserve(entries);
        self.arena.reserve(entries * (HEADER + 3) + key_bytes);
        self.log.reserve(entries);
    }

    pub fn held(&self) -> usize {
        self.held
    }

    pub fn live(&self) -> usize {
        self.live
    }

    pub fn head(&self) -> u64 {
        self.log.head()
    }

    // Reading a record.

    #[inline]
    fn at(record: Record) -> usize {
        record as usize * 4
    }

    #[inline]
    fn word(&self, record: Record, at: usize) -> u32 {
        word_at(&self.arena, Self::at(record) + at)
    }

    #[inline]
    fn long(&self, record: Record, at: usize) -> u64 {
        let at = Self::at(record) + at;
        u64::from_le_bytes(*self.arena[at..].first_chunk().expect("records are whole"))
    }

    #[inline]
    fn put_word(&mut self, record: Record, at: usize, word: u32) {
        let at = Self::at(record) + at;
        self.arena[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    #[inline]
    fn meta(&self, record: Record) -> u32 {
        self.word(record, META)
    }

    #[inline]
    pub fn key(&self, record: Record) -> &[u8] {
        let at = Self::at(record);
        let length = (self.meta(record) & KEY_MASK) as usize;
        &self.arena[at + HEADER..at + HEADER + length]
    }

    #[inline]
    pub fn tag(&self, record: Record) -> u8 {
        (self.meta(record) >> TAG_SHIFT & 15) as u8
    }

    #[inline]
    pub fn is_live(&self, record: Record) -> bool {
        is_live(self.tag(record))
    }

    pub fn seed(&self) -> [u64; 2] {
        self.seed
    }

    pub fn is_dropped(&self, record: Record) -> bool {
        self.meta(record) & DROPPED != 0
    }

    #[inline]
    pub fn value(&self, record: Record) -> Value<'_> {
        let meta = self.meta(record);
        let inline = meta >> INLINE_SHIFT & 15;
        let payload = if inline == IN_HEAP {
            let place = self.long(record, 16);
            let at = usize_of(place >> 24);
            &self.heap[at..at + usize_of(place & 0xff_ffff)]
        } else {
            let at = Self::at(record) + 16;
            &self.arena[at..at + inline as usize]
        };
        Value { tag: self.tag(record), payload }
    }

    #[inline]
    pub fn hlc(&self, record: Record) -> u64 {
        self.long(record, 0)
    }

    #[inline]
    pub fn stamp_node(&self, record: Record) -> u32 {
        self.word(record, STAMP_NODE)
    }

    pub fn stamp(&self, record: Record, nodes: &Nodes) -> Stamp {
        Stamp { hlc: self.hlc(record), replica: nodes.id(self.stamp_node(record)) }
    }

    #[inline]
    pub fn dot(&self, record: Record) -> NodeDot {
        let dot = self.long(record, 8);
        NodeDot { node: (dot >> 40) as u32, counter: dot & crate::stamp::COUNTER_MAX }
    }

    pub fn origin(&self, record: Record) -> Option<NodeDot> {
        if self.meta(record) & HAS_ORIGIN == 0 { None } else { self.origins.get(&record).copied() }
    }

    pub fn is_prefix(&self, record: Record) -> bool {
        self.tag(record) == PREFIX
    }

    pub fn fields(&self, record: Record) -> Fields<'_> {
        Fields {
            value: self.value(record),
            hlc: self.hlc(record),
            stamp_node: self.stamp_node(record),
            dot: self.dot(record),
            origin: self.origin(record),
        }
    }

    /// The records in order of arrival, with their places.
    pub fn arrivals(&self) -> impl DoubleEndedIterator<Item = Record> {
        self.log.records()
    }

    /// The records that arrived at `place` or later.
    pub fn arrivals_since(&self, place: u64) -> impl Iterator<Item = (u64, Record)> {
        self.log.since(place)
    }

    /// Where in the log to begin, to meet all dots of `node` above `counter`.
    pub fn first_place_above(&self, node: u32, counter: u64) -> Option<u64> {
        self.log.first_place_above(node, counter)
    }

    // Finding.

    /// The hash that the table goes by: its high bits are the place where a search begins.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u32 {
        high_half(table_hash(self.seed, key))
    }

    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Record> {
        self.find_hashed(key, self.hash(key))
    }

    #[inline]
    pub fn find_hashed(&self, key: &[u8], hash: u32) -> Option<Record> {
        self.table.find(hash, |record| self.key(record) == key)
    }

    /// Asks memory for the slots of these keys, so that they come side by side.
    #[inline]
    pub fn ask_slots(&self, hashes: &[u32]) {
        if self.table.is_beyond_cache() {
            for &hash in hashes {
                self.table.ask(hash);
            }
        }
    }

    /// Asks memory for the records that the searches for these keys meet first.
    #[inline]
    pub fn ask_records(&self, hashes: &[u32]) {
        if self.table.is_beyond_cache() {
            for &hash in hashes {
                let at = Self::at(self.table.first(hash));
                // A record with a key of usual length lies in one or two lines of the cache.
                if let (Some(first), Some(last)) =
                    (self.arena.get(at), self.arena.get(at + HEADER + 16))
                {
                    prefetch(first);
                    prefetch(last);
                }
            }
        }
    }

    // Writing. Every change of an entry comes through these, and keeps digest, counts and log.

    /// Adds an entry whose key is not held, as the latest arrival.
    pub fn insert(&mut self, key: &[u8], hash: u32, fields: &Fields<'_>, nodes: &Nodes) -> Record {
        let record = u32::try_from(self.arena.len() / 4)
            .expect("a dictionary holds at most 16 GiB of records");
        #[expect(clippy::cast_possible_truncation, reason = "keys are at most 1,024 bytes")]
        let header = self.header(key.len() as u32, fields, None);
        if let Some(padded) = short_record(&header, key) {
            self.arena.extend_from_slice(&padded[..(HEADER + key.len()).next_multiple_of(4)]);
        } else {
            self.arena.extend_from_slice(&header);
            self.arena.extend_from_slice(key);
            self.arena.resize(self.arena.len().next_multiple_of(4), 0);
        }
        if let Some(origin) = fields.origin {
            self.origins.insert(record, origin);
        }
        self.held += 1;
        self.count_in(nodes.id(fields.stamp_node), key, fields.value, fields.hlc);
        if fields.value.tag != PREFIX {
            self.table.put(record, hash);
        }
        self.log.push(record, fields.dot);
        record
    }

    /// Replaces everything of an entry but its key; it becomes the latest arrival.
    pub fn overwrite(&mut self, record: Record, fields: &Fields<'_>, nodes: &Nodes) {
        self.leave_log(record);
        self.count_out(record, nodes);
        let at = Self::at(record);
        let meta = self.meta(record);
        let old = (meta >> INLINE_SHIFT & 15 == IN_HEAP).then(|| self.long(record, 16));
        let header = self.header(meta & KEY_MASK, fields, old);
        self.arena[at..at + HEADER].copy_from_slice(&header);
        if (meta | self.meta(record)) & HAS_ORIGIN != 0 {
            self.put_origin(record, fields.origin);
        }
        self.count_record_in(record, nodes);
        self.log.push(record, fields.dot);
    }

    /// Gives an entry another dot and origin; it becomes the latest arrival.
    pub fn rename(&mut self, record: Record, dot: NodeDot, origin: Option<NodeDot>) {
        self.leave_log(record);
        self.arrive_as(record, dot, origin);
    }

    /// Lets an entry that stands nowhere in the log arrive under another dot and origin.
    pub fn arrive_as(&mut self, record: Record, dot: NodeDot, origin: Option<NodeDot>) {
        self.put_dot(record, dot);
        self.put_origin(record, origin);
        self.put_word(record, PLACE, self.log.next());
        self.log.push(record, dot);
    }

    /// Takes back the places from `head` on; what still stands there has to arrive anew.
    pub fn forget_arrivals(&mut self, head: u64) {
        self.log.truncate(head);
    }

    /// Gives an entry another stamp and dot; it becomes the latest arrival.
    pub fn restamp(
        &mut self,
        record: Record,
        hlc: u64,
        stamp_node: u32,
        dot: NodeDot,
        nodes: &Nodes,
    ) {
        self.count_out(record, nodes);
        let at = Self::at(record);
        self.arena[at..at + 8].copy_from_slice(&hlc.to_le_bytes());
        self.put_word(record, STAMP_NODE, stamp_node);
        self.count_record_in(record, nodes);
        self.rename(record, dot, self.origin(record));
    }

    /// Takes an entry out.
    pub fn drop_entry(&mut self, record: Record, nodes: &Nodes) {
        self.leave_log(record);
        self.count_out(record, nodes);
        self.held -= 1;
        if self.tag(record) != PREFIX {
            self.table.take(record, self.hash(self.key(record)));
        }
        self.wasted_arena += HEADER + self.key(record).len();
        self.wasted_heap += self.heap_length(record);
        let meta = self.meta(record);
        self.put_word(record, META, meta | DROPPED);
        if !self.keep_former {
            self.origins.remove(&record);
        }
    }

    /// The state of a record, for [`Self::put_back`].
    pub fn former(&self, record: Record) -> Former {
        let at = Self::at(record);
        Former {
            header: *self.arena[at..].first_chunk().expect("records are whole"),
            origin: self.origin(record),
        }
    }

    /// Undoes the latest change of all, an [`Self::overwrite`] or [`Self::drop_entry`] of `record`.
    pub fn put_back(&mut self, record: Record, former: &Former, nodes: &Nodes) {
        let was_dropped = self.is_dropped(record);
        if was_dropped {
            self.wasted_arena -= HEADER + self.key(record).len();
            self.held += 1;
        } else {
            self.count_out(record, nodes);
            self.log.pop();
            self.wasted_heap += self.heap_length(record);
        }
        let at = Self::at(record);
        self.arena[at..at + HEADER].copy_from_slice(&former.header);
        // It was counted as waste when it was replaced or dropped.
        self.wasted_heap -= self.heap_length(record);
        self.put_origin(record, former.origin);
        self.count_record_in(record, nodes);
        if was_dropped && self.tag(record) != PREFIX {
            let hash = self.hash(self.key(record));
            self.table.put(record, hash);
        }
        self.log.put(self.word(record, PLACE), record);
    }

    /// Undoes the latest change of all, an [`Self::insert`] of `record`.
    pub fn take_back(&mut self, record: Record, nodes: &Nodes) {
        self.drop_entry(record, nodes);
        self.log.pop();
    }

    /// The header of an entry that is to be the next arrival; puts its payload into the heap if it is long.
    fn header(&mut self, key_length: u32, fields: &Fields<'_>, old: Option<u64>) -> [u8; HEADER] {
        let payload = fields.value.payload;
        let (place, inline) = if payload.len() <= 8 {
            self.wasted_heap += old.map_or(0, |place| usize_of(place & 0xff_ffff));
            (inline_bytes(payload), payload.len() as u64)
        } else {
            (self.put_heap(payload, old).to_le_bytes(), u64::from(IN_HEAP))
        };
        let mut meta = key_length
            | u32::from(fields.value.tag) << TAG_SHIFT
            | low_half(inline) << INLINE_SHIFT;
        meta |= if fields.origin.is_some() { HAS_ORIGIN } else { 0 };
        let mut header = [0; HEADER];
        header[0..8].copy_from_slice(&fields.hlc.to_le_bytes());
        header[8..16].copy_from_slice(&dot_bits(fields.dot).to_le_bytes());
        header[16..24].copy_from_slice(&place);
        header[24..28].copy_from_slice(&self.log.next().to_le_bytes());
        header[28..32].copy_from_slice(&fields.stamp_node.to_le_bytes());
        header[32..36].copy_from_slice(&meta.to_le_bytes());
        header
    }

    /// Puts a payload into the heap, in place of an older one where it fits.
    fn put_heap(&mut self, payload: &[u8], old: Option<u64>) -> u64 {
        let old_length = old.map_or(0, |place| usize_of(place & 0xff_ffff));
        if let Some(place) = old
            && payload.len() <= old_length
            && !self.keep_former
        {
            let at = usize_of(place >> 24);
            self.heap[at..at + payload.len()].copy_from_slice(payload);
            self.wasted_heap += old_length - payload.len();
            return place >> 24 << 24 | payload.len() as u64;
        }
        self.wasted_heap += old_length;
        let at = self.heap.len() as u64;
        self.heap.extend_from_slice(payload);
        at << 24 | payload.len() as u64
    }

    fn put_dot(&mut self, record: Record, dot: NodeDot) {
        let at = Self::at(record) + 8;
        self.arena[at..at + 8].copy_from_slice(&dot_bits(dot).to_le_bytes());
    }

    fn put_origin(&mut self, record: Record, origin: Option<NodeDot>) {
        let meta = self.meta(record);
        match origin {
            Some(origin) => {
                self.origins.insert(record, origin);
                self.put_word(record, META, meta | HAS_ORIGIN);
            }
            None if meta & HAS_ORIGIN != 0 => {
                self.origins.remove(&record);
                self.put_word(record, META, meta & !HAS_ORIGIN);
            }
            None => {}
        }
    }

    fn heap_length(&self, record: Record) -> usize {
        let in_heap = self.meta(record) >> INLINE_SHIFT & 15 == IN_HEAP;
        if in_heap { usize_of(self.long(record, 16) & 0xff_ffff) } else { 0 }
    }

    /// Counts an entry in: digest and number of values.
    #[inline]
    fn count_in(&mut self, replica: ReplicaId, key: &[u8], value: Value<'_>, hlc: u64) {
        let hash = entry_hash(&replica.0, hlc, value.tag, key, value.payload);
        for (lane, part) in self.digest.iter_mut().zip(hash) {
            *lane = lane.wrapping_add(part);
        }
        self.live += usize::from(value.is_live());
    }

    fn count_record_in(&mut self, record: Record, nodes: &Nodes) {
        let hash = self.entry_hash(record, nodes);
        for (lane, part) in self.digest.iter_mut().zip(hash) {
            *lane = lane.wrapping_add(part);
        }
        self.live += usize::from(self.is_live(record));
    }

    fn count_out(&mut self, record: Record, nodes: &Nodes) {
        let hash = self.entry_hash(record, nodes);
        for (lane, part) in self.digest.iter_mut().zip(hash) {
            *lane = lane.wrapping_sub(part);
        }
        self.live -= usize::from(self.is_live(record));
    }

    pub fn entry_hash(&self, record: Record, nodes: &Nodes) -> Lanes {
        let Value { tag, payload } = self.value(record);
        entry_hash(
            &nodes.id(self.stamp_node(record)).0,
            self.hlc(record),
            tag,
            self.key(record),
            payload,
        )
    }

    // The log.

    fn leave_log(&mut self, record: Record) {
        self.log.put(self.word(record, PLACE), 0);
    }

    /// The place of a record in the log.
    pub fn place(&self, record: Record) -> u64 {
        self.log.base() + u64::from(self.word(record, PLACE))
    }

    /// Slots of the table that were looked at.
    #[cfg(feature = "test-hooks")]
    pub fn probes(&self) -> u64 {
        self.table.probes.get()
    }
}

#[inline]
fn word_at(arena: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*arena[at..].first_chunk().expect("records are whole"))
}

#[inline]
fn dot_bits(dot: NodeDot) -> u64 {
    u64::from(dot.node) << 40 | dot.counter
}

/// Header and key as one piece, filled up with zeros, where the key is of usual length: written at once.
#[inline]
fn short_record(header: &[u8; HEADER], key: &[u8]) -> Option<[u8; 80]> {
    let mut record = [0; 80];
    record.get_mut(HEADER..HEADER + key.len())?.copy_from_slice(key);
    record[..HEADER].copy_from_slice(header);
    Some(record)
}

/// Up to 8 bytes, filled up with zeros.
#[inline]
fn inline_bytes(payload: &[u8]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..payload.len()].copy_from_slice(payload);
    bytes
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the low half of a slot is its record")]
fn low_half(slot: u64) -> Record {
    slot as u32
}

#[inline]
fn high_half(slot: u64) -> u32 {
    (slot >> 32) as u32
}

/// A number that is known to index memory of this process.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "places in memory fit a usize, also on 32 bits"
)]
fn usize_of(number: u64) -> usize {
    number as usize
}
