//! What a dictionary hands out: versions, deltas, snapshots, changes.

use crate::block::{BLOCK_ENTRIES_MAX, BlockWriter, EntryBytes, shared_length};
use crate::collector::Collector;
use crate::dictionary::Dictionary;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{
    self, CHANGES, DELTA, DIFFERENCE, ENTRIES, FRONTIER, Frame, SNAPSHOT, TAINTED, VERSION, field,
};
use crate::hash::hash_of_bytes;
use crate::order;
use crate::records::{NodeDot, Record, Records};
use crate::sort::{sort, sorted_places};
use crate::stamp::{ReplicaId, Stamp, millis_of};
use crate::told::{Known, Told};
use crate::version::{NodeVector, Nodes, Runs, Seen, put_runs, put_vector};
use crate::wire::put_varint;

/// What an entry weighs in a part besides the suffix of its key and its payload.
const PART_ENTRY_WEIGHT: u64 = 16;

/// How to hand out entries.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Parts of at most this many bytes; `u64::MAX` for one part.
    pub part_bytes_max: u64,
    /// Entries with stamps of more milliseconds are withheld; `u64::MAX` for none.
    pub stamp_limit: u64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self { part_bytes_max: u64::MAX, stamp_limit: u64::MAX }
    }
}

/// The parts of an export, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// All parts.
    pub bytes: Vec<u8>,
    /// Where each part ends.
    pub ends: Vec<usize>,
}

impl Parts {
    /// The parts one by one.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.bytes[core::mem::replace(&mut start, end)..end])
    }
}

/// What [`Dictionary::changes_since`] answers besides the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Where to go on.
    pub next: u64,
    /// Nothing came later.
    pub at_head: bool,
}

/// The version that a delta starts from: as bytes for its header, and by the nodes that are known here.
struct Base<'a> {
    frame: Frame<'a>,
    seen: Seen,
}

/// What a frame is made of besides its entries.
struct Header<'a> {
    kind: u8,
    base: Option<&'a Frame<'a>>,
    end: bool,
    tainted: bool,
    /// What it has of the state; all of it where there is none.
    told: Option<&'a Told>,
}

impl Dictionary {
    /// Writes the version into `out`.
    pub fn version(&self, out: &mut Vec<u8>) {
        out.clear();
        self.put_version(out);
    }

    /// Writes the horizon into `out`, as a version.
    pub fn horizon(&self, out: &mut Vec<u8>) {
        out.clear();
        self.put_horizon_version(out);
    }

    /// Writes all of the state but the entries into `out`: what [`Self::changes_since`] can leave out for who has it. Equal states give equal bytes.
    ///
    /// Costs one pass over the writers.
    pub fn frontier(&mut self, out: &mut Vec<u8>) {
        out.clear();
        let header = Header { kind: FRONTIER, base: None, end: true, tainted: false, told: None };
        self.put_frame(&header, None, &[], out);
    }

    /// Writes every entry that `base` (a version; none: the empty one) has not seen into `out`, in parts.
    ///
    /// Costs the changes since then, not the size of the dictionary, as far as writers send their dots in order.
    ///
    /// # Errors
    ///
    /// Those of reading a version; [`ErrorKind::TransactionOpen`]; [`ErrorKind::InvalidArgument`] for parts of no bytes.
    pub fn delta(
        &mut self,
        base: Option<&[u8]>,
        options: &ExportOptions,
        out: &mut Parts,
    ) -> Result<()> {
        self.no_transaction()?;
        check_part_bytes(options.part_bytes_max)?;
        let mut nothing = Vec::new();
        let bytes = base.unwrap_or_else(|| {
            put_empty_version(&mut nothing);
            &nothing
        });
        let base = self.read_base(bytes)?;
        let records = self.unseen(&base.seen);
        self.export(DELTA, &records, Some(&base.frame), bytes, options, out);
        Ok(())
    }

    /// Writes the whole state into `out`, in parts: equal states give equal bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`]; [`ErrorKind::InvalidArgument`] for parts of no bytes.
    pub fn snapshot(&mut self, options: &ExportOptions, out: &mut Parts) -> Result<()> {
        self.no_transaction()?;
        check_part_bytes(options.part_bytes_max)?;
        let mut records: Vec<Record> = self.records.arrivals().collect();
        if self.order.is_built() {
            self.order.prepare(&self.records);
            records.retain(|&record| self.records.is_prefix(record));
            order::sort(&mut records, &self.records);
            records = self.merged_order(&records);
        } else {
            order::sort(&mut records, &self.records);
        }
        self.export(SNAPSHOT, &records, None, &[], options, out);
        Ok(())
    }

    /// Writes the entries that arrived at `seq` or later into `out`, as far as `part_bytes_max` goes, in order of arrival.
    ///
    /// With `since`, a frontier of this dictionary that the receiver has adopted, the header has only what is not as there: a frame for
    /// [`MergeOptions::difference`](crate::MergeOptions::difference). That costs a pass over the writers, and bytes for those that changed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for a `seq` beyond the head or parts of no bytes; those of reading a frontier; [`ErrorKind::TransactionOpen`].
    pub fn changes_since(
        &mut self,
        seq: u64,
        since: Option<&[u8]>,
        options: &ExportOptions,
        out: &mut Vec<u8>,
    ) -> Result<Changes> {
        self.no_transaction()?;
        check_part_bytes(options.part_bytes_max)?;
        if seq > self.head() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the sequence number lies beyond the head of the arrival log",
            ));
        }
        let told = match since {
            None => None,
            Some(bytes) => {
                let known = Known::of(&Frame::read(bytes, &[FRONTIER])?, &self.nodes);
                Some(Told::since(self, &known))
            }
        };
        let mut weigher = Weigher::new(options.part_bytes_max);
        let mut records = Vec::new();
        let mut next = self.head();
        let mut tainted = false;
        for (place, record) in self.records.arrivals_since(seq) {
            if millis_of(self.records.hlc(record)) > options.stamp_limit {
                tainted = true;
            } else if weigher.fits(self.records.key(record), self.payload_bytes(record)) {
                records.push(record);
            } else {
                next = place;
                break;
            }
        }
        let at_head = next == self.head();
        out.clear();
        let header =
            Header { kind: CHANGES, base: None, end: at_head, tainted, told: told.as_ref() };
        self.put_frame(&header, None, &records, out);
        self.sent(&records);
        Ok(Changes { next, at_head })
    }

    /// Writes entries as a frame of changes without `end`.
    pub(crate) fn put_changes(
        &mut self,
        records: &[Record],
        options: &ExportOptions,
        out: &mut Vec<u8>,
    ) {
        let limit = options.stamp_limit;
        let (kept, withheld): (Vec<_>, Vec<_>) =
            records.iter().partition(|&&record| millis_of(self.records.hlc(record)) <= limit);
        out.clear();
        let tainted = !withheld.is_empty();
        let header = Header { kind: CHANGES, base: None, end: false, tainted, told: None };
        self.put_frame(&header, None, &kept, out);
        self.sent(&kept);
    }

    /// All records in the order of a snapshot, given the prefix tombstones in theirs.
    fn merged_order(&self, prefixes: &[Record]) -> Vec<Record> {
        let mut all = Vec::with_capacity(self.records.held());
        let mut prefixes = prefixes.iter().copied().peekable();
        for record in self.order.range(&[], None, &self.records) {
            while let Some(prefix) =
                prefixes.next_if(|&prefix| self.records.key(prefix) <= self.records.key(record))
            {
                all.push(prefix);
            }
            all.push(record);
        }
        all.extend(prefixes);
        all
    }

    fn read_base<'a>(&self, bytes: &'a [u8]) -> Result<Base<'a>> {
        let frame = Frame::read(bytes, &[VERSION])?;
        let mut seen = Seen::default();
        for (replica, counter) in frame.vector.iter() {
            if let Some(node) = self.nodes.find(frame.replica(replica)) {
                seen.raise(node, counter);
            }
        }
        if let Some(end) = frame.end {
            end.for_each(|replica, first, last| {
                if let Some(node) = self.nodes.find(frame.replica(replica)) {
                    seen.except(node, first, last);
                }
            });
        }
        Ok(Base { frame, seen })
    }

    /// The records whose dots `base` has not seen, by dot.
    fn unseen(&self, base: &Seen) -> Vec<Record> {
        let first = |node| self.records.first_place_above(node, base.contiguous(node));
        let Some(place) = self.nodes.sorted().filter_map(first).min() else { return Vec::new() };
        let is_unseen = |record: Record| {
            let dot = self.records.dot(record);
            !base.has(dot.node, dot.counter)
        };
        let mut unseen: Vec<Record> = self
            .records
            .arrivals_since(place)
            .map(|(_, record)| record)
            .filter(|&record| is_unseen(record))
            .collect();
        if unseen.len() > 1 {
            self.sort_by_dot(&mut unseen);
        }
        unseen
    }

    fn sort_by_dot(&self, records: &mut Vec<Record>) {
        let mut ranks = vec![0; self.nodes.len()];
        for (rank, node) in (0_u64..).zip(self.nodes.sorted()) {
            ranks[node as usize] = rank;
        }
        let rank = |record| {
            let dot = self.records.dot(record);
            ranks[dot.node as usize] << 40 | dot.counter
        };
        let mut ranked: Vec<(u64, Record)> =
            records.iter().map(|&record| (rank(record), record)).collect();
        if !ranked.is_sorted_by(|(a, _), (b, _)| a < b) {
            // Clones give one dot to several entries: then keys decide.
            sort(&mut ranked, &|left, right| order::snapshot_order(&self.records, left, right));
            records.clear();
            records.extend(ranked.into_iter().map(|(_, record)| record));
        }
    }

    fn payload_bytes(&self, record: Record) -> usize {
        self.records.value(record).payload.len()
    }

    /// Raises the floor to own entries that are handed out: others may know their stamps from now on.
    fn sent(&mut self, records: &[Record]) {
        let is_own = |&&record: &&Record| self.records.dot(record).node == self.own;
        let own = records.iter().filter(is_own).map(|&record| self.records.hlc(record));
        self.floor = own.fold(self.floor, u64::max);
    }

    fn export(
        &mut self,
        kind: u8,
        records: &[Record],
        base: Option<&Frame<'_>>,
        base_bytes: &[u8],
        options: &ExportOptions,
        out: &mut Parts,
    ) {
        out.bytes.clear();
        out.ends.clear();
        let limit = options.stamp_limit;
        let is_withheld = |record: Record| millis_of(self.records.hlc(record)) > limit;
        let tainted = limit != u64::MAX && records.iter().any(|&record| is_withheld(record));
        let kept: Vec<Record>;
        let records = if tainted {
            kept = records.iter().copied().filter(|&record| !is_withheld(record)).collect();
            &kept
        } else {
            records
        };
        if options.part_bytes_max == u64::MAX {
            let header = Header { kind, base, end: true, tainted, told: None };
            self.put_frame(&header, None, records, &mut out.bytes);
            out.ends.push(out.bytes.len());
            self.sent(records);
            return;
        }
        let cuts = self.cuts(records, options.part_bytes_max);
        let id = (cuts.len() > 1).then(|| self.delta_id(kind, base_bytes, options));
        let mut start = 0;
        for (number, &cut) in (0_u64..).zip(&cuts) {
            let header = Header {
                kind,
                base,
                end: cut == records.len() && number + 1 == cuts.len() as u64,
                tainted,
                told: None,
            };
            self.put_frame(
                &header,
                id.map(|id| (id, number)),
                &records[start..cut],
                &mut out.bytes,
            );
            out.ends.push(out.bytes.len());
            start = cut;
        }
        self.sent(records);
    }

    /// Where each part ends.
    pub(crate) fn cuts(&self, records: &[Record], part_bytes_max: u64) -> Vec<usize> {
        let mut cuts = Vec::new();
        let mut weigher = Weigher::new(part_bytes_max);
        for (at, &record) in records.iter().enumerate() {
            if !weigher.fits(self.records.key(record), self.payload_bytes(record)) {
                cuts.push(at);
                weigher = Weigher::new(part_bytes_max);
                weigher.fits(self.records.key(record), self.payload_bytes(record));
            }
        }
        cuts.push(records.len());
        cuts
    }

    fn delta_id(&self, kind: u8, base: &[u8], options: &ExportOptions) -> u64 {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&self.replica_id().0);
        for number in [self.head(), options.part_bytes_max, options.stamp_limit] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(base);
        self.put_version(&mut bytes);
        self.put_horizon_version(&mut bytes);
        hash_of_bytes(&bytes)
    }

    fn put_version(&self, out: &mut Vec<u8>) {
        let used: Vec<u32> = self.nodes.sorted().filter(|&node| self.seen.names(node)).collect();
        let start = self.begin_version(&used, out);
        put_counters(&used, &|node| self.seen.vector(node), out);
        if self.seen.has_exceptions() {
            put_exceptions(&mut (0..).zip(used), &self.seen, out);
        }
        out.push(0);
        frame::end(out, start);
    }

    fn put_horizon_version(&self, out: &mut Vec<u8>) {
        let used: Vec<u32> =
            self.nodes.sorted().filter(|&node| self.horizon.get(node) > 0).collect();
        let start = self.begin_version(&used, out);
        put_counters(&used, &|node| self.horizon.get(node), out);
        out.push(0);
        frame::end(out, start);
    }

    /// Begins a version that names these nodes, in the order of their ids, and answers where it begins.
    fn begin_version(&self, used: &[u32], out: &mut Vec<u8>) -> usize {
        let start = out.len();
        frame::begin(out, VERSION);
        put_replicas(out, &mut used.iter().map(|&node| self.nodes.id(node)));
        start
    }

    fn put_frame(
        &mut self,
        header: &Header<'_>,
        part: Option<(u64, u64)>,
        records: &[Record],
        out: &mut Vec<u8>,
    ) {
        let Self {
            records: store, nodes, seen, horizon, collected, collector, table, writer, ..
        } = self;
        let start = out.len();
        let end = header.end && (header.kind != FRONTIER || seen.has_exceptions());
        let told = header.told;
        frame::begin(out, header.kind);
        table.start(nodes.len());
        if let Some(told) = told {
            told.use_nodes(table, nodes, end);
        } else {
            for node in nodes.sorted() {
                if seen.vector(node) > 0
                    || horizon.get(node) > 0
                    || (end && seen.exceptions(node).is_some())
                {
                    table.use_node(node);
                }
            }
            table.use_stamps(*collected, *collector, nodes);
        }
        table.use_entries(store, records);
        table.finish(nodes, header.base);
        put_replicas(out, &mut table.ids.iter().copied());
        if let Some((id, number)) = part {
            frame::put_field(out, field::PART, |out| {
                out.extend_from_slice(&id.to_le_bytes());
                put_varint(out, number);
            });
        }
        if let Some(base) = header.base {
            frame::put_field(out, field::BASE, |out| table.put_base(base, out));
        }
        table.put_vector(seen, told.map(|told| &*told.closed), out);
        let collected = told.map_or(*collected, |told| told.collected);
        table.put_horizon(horizon, told.map(|told| &*told.horizon), collected, out);
        if end {
            table.put_end(seen, told.map(|told| &*told.excepted), out);
        }
        let tainted = if header.tainted { TAINTED } else { 0 };
        let difference = if told.is_some() { DIFFERENCE } else { 0 };
        if tainted | difference > 0 {
            out.extend_from_slice(&[field::FLAGS, 1, tainted | difference]);
        }
        table.put_collector(told.map_or(*collector, |told| told.collector), out);
        out.push(0);
        table.put_entries(store, records, writer, out);
        frame::end(out, start);
    }
}

pub(crate) fn put_replicas(out: &mut Vec<u8>, replicas: &mut dyn Iterator<Item = ReplicaId>) {
    frame::put_field(out, field::REPLICAS, |out| {
        replicas.for_each(|id| out.extend_from_slice(&id.0));
    });
}

/// Writes the vector of a version that names these nodes, if one of them has a counter.
fn put_counters(used: &[u32], counter: &dyn Fn(u32) -> u64, out: &mut Vec<u8>) {
    let counters = (0..).zip(used).map(|(index, &node)| (index, counter(node)));
    put_vector_field(&mut counters.filter(|&(_, counter)| counter > 0), out);
}

fn put_vector_field(vector: &mut dyn Iterator<Item = (u32, u64)>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut count = 0;
    frame::put_field(out, field::VECTOR, |out| count = put_vector(out, vector));
    if count == 0 {
        out.truncate(start);
    }
}

/// Writes the exceptions of nodes, given with their indices.
fn put_exceptions(indexed: &mut dyn Iterator<Item = (u32, u32)>, seen: &Seen, out: &mut Vec<u8>) {
    let mut runs = indexed.filter_map(|(index, node)| Some((index, seen.exceptions(node)?)));
    frame::put_field(out, field::END, |out| put_runs(out, &mut runs));
}

pub(crate) fn check_part_bytes(part_bytes_max: u64) -> Result<()> {
    if part_bytes_max > 0 {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidArgument, "a part holds at least one byte"))
    }
}

fn put_empty_version(out: &mut Vec<u8>) {
    frame::begin(out, VERSION);
    out.extend_from_slice(&[field::REPLICAS, 0, 0]);
    frame::end(out, 0);
}

/// Says which entries a part holds.
struct Weigher {
    max: u64,
    weight: u64,
    entries: usize,
    key: Vec<u8>,
}

impl Weigher {
    fn new(max: u64) -> Self {
        Self { max, weight: 0, entries: 0, key: Vec::new() }
    }

    /// Adds an entry, if the part has room for it or is empty.
    fn fits(&mut self, key: &[u8], payload_bytes: usize) -> bool {
        if self.entries.is_multiple_of(BLOCK_ENTRIES_MAX) {
            self.key.clear();
        }
        let shared = shared_length(&self.key, key);
        let weight = (key.len() - shared + payload_bytes) as u64 + PART_ENTRY_WEIGHT;
        if self.entries > 0 && self.weight + weight > self.max {
            return false;
        }
        self.weight += weight;
        self.entries += 1;
        self.key.truncate(shared);
        self.key.extend_from_slice(&key[shared..]);
        true
    }
}

/// The table of replicas of a frame under way.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The index of each node in the table.
    index: Vec<u32>,
    /// The nodes used, in the order of their ids.
    used: Vec<u32>,
    pub ids: Vec<ReplicaId>,
}

const UNUSED: u32 = u32::MAX;
const USED: u32 = u32::MAX - 1;
/// Where fewer than one in so many nodes are used, they are sorted alone.
const USED_FEW: usize = 16;

impl Table {
    pub fn start(&mut self, nodes: usize) {
        self.index.clear();
        self.index.resize(nodes, UNUSED);
        self.used.clear();
        self.ids.clear();
    }

    #[inline]
    pub fn use_node(&mut self, node: u32) {
        let index = &mut self.index[node as usize];
        if *index == UNUSED {
            *index = USED;
            self.used.push(node);
        }
    }

    /// Enters the replicas of the greatest collected stamp and of the collector's.
    pub fn use_stamps(
        &mut self,
        collected: Option<Stamp>,
        collector: Option<Collector>,
        nodes: &Nodes,
    ) {
        for stamp in [collected, collector.map(|collector| collector.stamp)].into_iter().flatten() {
            if let Some(node) = nodes.find(stamp.replica) {
                self.use_node(node);
            }
        }
    }

    pub fn use_entries(&mut self, store: &Records, records: &[Record]) {
        for &record in records {
            self.use_node(store.dot(record).node);
            self.use_node(store.stamp_node(record));
            if let Some(origin) = store.origin(record) {
                self.use_node(origin.node);
            }
        }
    }

    /// Lists what is used and what `base` names, in the order of their ids.
    pub fn finish(&mut self, nodes: &Nodes, base: Option<&Frame<'_>>) {
        let mut unknown: Vec<ReplicaId> = Vec::new();
        if let Some(base) = base {
            let mut use_id = |replica| match nodes.find(base.replica(replica)) {
                Some(node) => self.use_node(node),
                None => unknown.push(base.replica(replica)),
            };
            base.vector.iter().for_each(|(replica, _)| use_id(replica));
            base.end.unwrap_or_default().for_each(|replica, _, _| use_id(replica));
        }
        if unknown.len() > 1 {
            let compare = |a: u32, b: u32| unknown[a as usize].cmp(&unknown[b as usize]);
            unknown = sorted_places(unknown.len(), &compare).map(|place| unknown[place]).collect();
            unknown.dedup();
        }
        let mut unknown = unknown.into_iter().peekable();
        if self.used.len() < nodes.len() / USED_FEW {
            let id = |at: u32| nodes.id(self.used[at as usize]);
            let places = sorted_places(self.used.len(), &|a, b| id(a).cmp(&id(b)));
            self.used = places.map(|place| self.used[place]).collect();
        } else {
            self.used = nodes.sorted().filter(|&node| self.index[node as usize] == USED).collect();
        }
        for &node in &self.used {
            let id = nodes.id(node);
            while let Some(before) = unknown.next_if(|&before| before < id) {
                self.ids.push(before);
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a frame names fewer than 2^32 replicas"
            )]
            let index = self.ids.len() as u32;
            self.index[node as usize] = index;
            self.ids.push(id);
        }
        self.ids.extend(unknown);
    }

    #[expect(clippy::cast_possible_truncation, reason = "a frame names fewer than 2^32 replicas")]
    fn find(&self, id: ReplicaId) -> u32 {
        self.ids.binary_search(&id).expect("replicas are entered before they are looked for") as u32
    }

    #[inline]
    pub fn index(&self, node: u32) -> u32 {
        self.index[node as usize]
    }

    /// The nodes used with their indices, ascending: all, or of these, which ascend by number.
    fn indexed(&self, of: Option<&[u32]>) -> impl Iterator<Item = (u32, u32)> {
        let is_of = move |node| of.is_none_or(|nodes| nodes.binary_search(node).is_ok());
        self.used.iter().filter(move |&node| is_of(node)).map(|&node| (self.index(node), node))
    }

    /// Writes V, of all nodes or of these, if there is any.
    pub fn put_vector(&self, seen: &Seen, of: Option<&[u32]>, out: &mut Vec<u8>) {
        let counters = self.indexed(of).map(|(index, node)| (index, seen.vector(node)));
        put_vector_field(&mut counters.filter(|&(_, counter)| counter > 0), out);
    }

    /// Writes the exceptions, of all nodes or of these.
    pub fn put_end(&self, seen: &Seen, of: Option<&[u32]>, out: &mut Vec<u8>) {
        put_exceptions(&mut self.indexed(of), seen, out);
    }

    /// Writes H, of all nodes or of these, and HS, if there is any.
    pub fn put_horizon(
        &self,
        horizon: &NodeVector,
        of: Option<&[u32]>,
        collected: Option<Stamp>,
        out: &mut Vec<u8>,
    ) {
        if of.map_or(horizon.is_empty(), <[u32]>::is_empty) && collected.is_none() {
            return;
        }
        frame::put_field(out, field::HORIZON, |out| {
            let counters = self.indexed(of).map(|(index, node)| (index, horizon.get(node)));
            put_vector(out, &mut counters.filter(|&(_, counter)| counter > 0));
            match collected {
                None => out.push(0),
                Some(stamp) => {
                    put_varint(out, u64::from(self.find(stamp.replica)) + 1);
                    out.extend_from_slice(&stamp.hlc.to_le_bytes());
                }
            }
        });
    }

    /// Writes which store collects, if one is named.
    pub fn put_collector(&self, collector: Option<Collector>, out: &mut Vec<u8>) {
        if let Some(Collector { stamp, store_id }) = collector {
            frame::put_field(out, field::COLLECTOR, |out| {
                put_varint(out, u64::from(self.find(stamp.replica)));
                out.extend_from_slice(&stamp.hlc.to_le_bytes());
                out.extend_from_slice(&store_id);
            });
        }
    }

    /// Writes the blocks of a frame.
    pub fn put_entries(
        &self,
        store: &Records,
        records: &[Record],
        writer: &mut BlockWriter,
        out: &mut Vec<u8>,
    ) {
        writer.start(self.ids.len());
        let index = |dot: NodeDot| (self.index(dot.node) as usize, dot.counter);
        for &record in records {
            let (dot_replica, counter) = index(store.dot(record));
            let entry = EntryBytes {
                value: store.value(record),
                hlc: store.hlc(record),
                stamp_replica: self.index(store.stamp_node(record)) as usize,
                dot_replica,
                counter,
                origin: store.origin(record).map(index),
            };
            writer.push(out, store.key(record), &entry);
        }
        writer.finish(out);
    }

    fn put_base(&self, base: &Frame<'_>, out: &mut Vec<u8>) {
        let index = |replica: usize| self.find(base.replica(replica));
        let mut vector = base.vector.iter().map(|(replica, counter)| (index(replica), counter));
        put_vector(out, &mut vector);
        let mut runs: Vec<(u32, Runs)> = Vec::new();
        base.end.unwrap_or_default().for_each(|replica, first, last| {
            let at = index(replica);
            if runs.last().is_none_or(|&(writer, _)| writer != at) {
                runs.push((at, Runs::default()));
            }
            if let Some((_, runs)) = runs.last_mut() {
                runs.add(first, last);
            }
        });
        put_runs(out, &mut runs.iter().map(|(at, runs)| (*at, runs)));
    }
}

/// Writes entries that belong to no dictionary as a frame.
pub(crate) fn put_entries<'a>(
    replicas: &[ReplicaId],
    entries: impl Iterator<Item = (&'a [u8], EntryBytes<'a>)>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    frame::begin(out, ENTRIES);
    put_replicas(out, &mut replicas.iter().copied());
    out.push(0);
    let mut writer = BlockWriter::default();
    writer.start(replicas.len());
    for (key, entry) in entries {
        writer.push(out, key, &entry);
    }
    writer.finish(out);
    frame::end(out, start);
}
