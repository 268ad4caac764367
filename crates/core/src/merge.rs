//! Merging frames: rules 3 to 5 of the versions, clones, and what a patch tells of it.

use core::cmp::Ordering;

use crate::block::{Chunk, EntryBytes};
use crate::collector::Collector;
use crate::columns::{Columns, NO_CHANGES, NO_ENTRIES};
use crate::dictionary::{Dictionary, is_watched};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{CHANGES, Checked, DELTA, Frame, SNAPSHOT};
use crate::order::snapshot_order;
use crate::records::{Fields, NodeDot, Record};
use crate::sort::sort;
use crate::stamp::{Dot, ReplicaId, Stamp, millis_of};
use crate::value::Value;
use crate::version::Runs;

/// Incomplete deltas that are remembered.
const PENDING_MAX: usize = 64;
/// Runs of part numbers that are remembered of a delta.
const PART_RUNS_MAX: usize = 1_024;
/// Entries that are looked up together, so that memory answers them side by side.
pub(crate) const BATCH: usize = 32;

/// What the caller of a merge answers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeOptions {
    /// What changes start from is in the own version.
    pub adopt: bool,
    /// The sender has the same version and horizon, and entries that differ: those at or below the horizon are merged like others, and none of them
    /// tells of a clone.
    pub repair: bool,
    /// The frame may tell only what is not as in a frontier, which was adopted here.
    pub difference: bool,
}

/// What a merge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Entries that won, those that only brought a greater dot included.
    pub applied: usize,
    /// Entries that lost, were covered, were held already, or lie below the horizon.
    pub ignored: usize,
    /// Entries skipped because their stamps lie beyond the drift limit; see [`Dictionary::refusals`].
    pub refused: usize,
    /// The version now covers all that the sender had.
    pub complete: bool,
    /// The own replica id was found cloned; the spare id is in use, see [`Dictionary::set_spare_id`].
    pub cloned: bool,
    /// Something that is watched changed; see [`Dictionary::patch`].
    pub patched: bool,
}

/// A delta of which parts are missing.
#[derive(Debug)]
pub(crate) struct Pending {
    id: u64,
    /// Part numbers + 1.
    parts: Runs,
    /// The number of the last part + 1, and the sender's version, once it is known.
    last: Option<(u64, SenderVersion)>,
    tainted: bool,
}

/// The version of the sender of a frame, by replica id.
#[derive(Clone, Debug, Default)]
pub(crate) struct SenderVersion {
    vector: Vec<(ReplicaId, u64)>,
    runs: Vec<(ReplicaId, u64, u64)>,
}

impl SenderVersion {
    pub fn of(frame: &Frame<'_>) -> Self {
        let mut runs = Vec::new();
        if let Some(end) = frame.end {
            end.for_each(|replica, first, last| runs.push((frame.replica(replica), first, last)));
        }
        Self {
            vector: frame
                .vector
                .iter()
                .map(|(replica, counter)| (frame.replica(replica), counter))
                .collect(),
            runs,
        }
    }

    pub fn has(&self, dot: Dot) -> bool {
        let at = self.vector.partition_point(|&(replica, _)| replica < dot.replica);
        if self
            .vector
            .get(at)
            .is_some_and(|&(replica, counter)| replica == dot.replica && dot.counter <= counter)
        {
            return true;
        }
        let at = self
            .runs
            .partition_point(|&(replica, _, last)| (replica, last) < (dot.replica, dot.counter));
        self.runs
            .get(at)
            .is_some_and(|&(replica, first, _)| replica == dot.replica && first <= dot.counter)
    }

    /// What the vector has of a replica.
    pub fn closed(&self, id: ReplicaId) -> u64 {
        let at = self.vector.partition_point(|&(replica, _)| replica < id);
        self.vector
            .get(at)
            .filter(|&&(replica, _)| replica == id)
            .map_or(0, |&(_, counter)| counter)
    }
}

/// The nodes of the replicas that a frame names, found or made when they are needed.
pub(crate) struct FrameNodes<'a> {
    replicas: &'a [[u8; 16]],
    nodes: Vec<u32>,
}

const UNKNOWN: u32 = u32::MAX;

impl<'a> FrameNodes<'a> {
    pub fn new(replicas: &'a [[u8; 16]]) -> Self {
        Self { replicas, nodes: vec![UNKNOWN; replicas.len()] }
    }

    #[inline]
    pub fn get(&mut self, index: usize, dictionary: &mut Dictionary) -> u32 {
        if self.nodes[index] == UNKNOWN {
            self.nodes[index] = dictionary.nodes.intern(ReplicaId(self.replicas[index]));
        }
        self.nodes[index]
    }
}

impl Dictionary {
    /// Merges a delta, a snapshot or changes.
    ///
    /// Costs about one look into the table an entry.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CorruptBytes`], [`ErrorKind::UnsupportedFormat`] (for a difference, too, that `options` do not speak of), [`ErrorKind::TooLarge`]; [`ErrorKind::ReceiverBelowHorizon`] and
    /// [`ErrorKind::SenderBelowHorizon`] tell who has to re-read; [`ErrorKind::ClockDrift`] when the greatest collected stamp lies beyond the limit;
    /// [`ErrorKind::TransactionOpen`]. Nothing changes then.
    pub fn merge(
        &mut self,
        bytes: &[u8],
        now: u64,
        MergeOptions { adopt, repair, difference }: MergeOptions,
    ) -> Result<MergeReport> {
        self.no_transaction()?;
        let frame = Frame::read(bytes, &[DELTA, SNAPSHOT, CHANGES])?;
        if !difference {
            frame.no_difference()?;
        }
        let own_index = frame.replicas.binary_search(&self.replica_id().0).ok();
        let mut suspects = Suspects::default();
        let mut chunk = core::mem::take(&mut self.chunk);
        let checked = frame.check(&mut chunk, &mut |chunk| {
            if let Some(own) = own_index {
                frame.entries(chunk, |key, entry| {
                    self.suspect(key, entry, &frame, own, &mut suspects);
                });
            }
        })?;
        if let Err(error) = self.check_horizons(&frame, now) {
            if let Some((id, _)) = frame.part {
                self.pending.retain(|pending| pending.id != id);
            }
            return Err(error);
        }
        self.patch.clear();
        let mut report = MergeReport::default();
        if repair {
            suspects.forget_entries();
        }
        if let Some(own) = own_index {
            suspects.name(named_counter(&frame, own));
        }
        if own_index.is_some() && self.is_cloned(suspects) {
            self.take_spare_id();
            report.cloned = true;
        }
        let collector = Collector::of(&frame);
        let is_ahead = collector.is_some_and(|it| millis_of(it.stamp.hlc) > self.limit(now));
        let tainted = frame.tainted
            || report.cloned
            || is_ahead
            || millis_of(checked.hlc_max) > self.limit(now);
        let mut nodes = FrameNodes::new(frame.replicas);
        self.join_horizon(&frame, &mut nodes);
        self.join_collector(collector.filter(|_| !is_ahead));

        let adopts_later = !tainted
            && frame.part.is_none()
            && match frame.kind {
                CHANGES => adopt && frame.end.is_some(),
                _ => self.has_base(&frame),
            };
        let mut merge = Merge {
            closed: Vec::new(),
            limit: self.limit(now),
            repair,
            refusals: Columns::default(),
            winners: None,
            report: &mut report,
        };
        if adopts_later {
            merge.closed.resize(frame.replicas.len(), 0);
            frame.vector.iter().for_each(|(replica, counter)| merge.closed[replica] = counter);
        }
        self.merge_entries(&frame, &checked, &mut chunk, &mut nodes, &mut merge);
        self.chunk = chunk;
        let refusals = merge.refusals;
        report.ignored = checked.entries - report.applied - report.refused;

        report.complete = self.adopt(&frame, tainted, adopt, &mut nodes) && !is_ahead;
        self.seen.settle(self.own);
        self.refusal_bytes.clear();
        if !refusals.is_empty() {
            refusals.write_entries(&mut self.refusal_bytes);
        }
        self.end_patch();
        report.patched = !self.patch.is_empty();
        self.settled();
        Ok(report)
    }

    /// The entries that the last merge refused, as columns.
    #[must_use]
    pub fn refusals(&self) -> &[u8] {
        if self.refusal_bytes.is_empty() { &NO_ENTRIES } else { &self.refusal_bytes }
    }

    /// What the last merge, re-read or restamp changed of what is watched, as columns.
    #[must_use]
    pub fn patch(&self) -> &[u8] {
        if self.patch_bytes.is_empty() { &NO_CHANGES } else { &self.patch_bytes }
    }

    /// Says which prefixes patches are for: none at first.
    pub fn watch(&mut self, prefixes: &[&str]) {
        self.watched = prefixes.iter().map(|prefix| prefix.as_bytes().into()).collect();
    }

    pub(crate) fn end_patch(&mut self) {
        self.patch_bytes.clear();
        if !self.patch.is_empty() {
            self.patch.write_changes(&mut self.patch_bytes);
        }
    }

    /// Rule 3: both sides must have seen what the other side's horizon covers.
    fn check_horizons(&self, frame: &Frame<'_>, now: u64) -> Result<()> {
        let covers = |(replica, counter)| {
            self.nodes
                .find(frame.replica(replica))
                .is_some_and(|node| self.seen.vector(node) >= counter)
        };
        if !frame.horizon.iter().all(covers) {
            return Err(Error::new(
                ErrorKind::ReceiverBelowHorizon,
                "the sender collected tombstones that this replica has not seen; re-read from a snapshot",
            ));
        }
        // Of a difference the caller has seen the whole.
        if !self.horizon.is_empty() && !frame.difference {
            let sender = SenderVersion::of(frame);
            if !self
                .horizon
                .iter()
                .all(|(node, counter)| sender.closed(self.nodes.id(node)) >= counter)
            {
                return Err(Error::new(
                    ErrorKind::SenderBelowHorizon,
                    "this replica collected tombstones that the sender has not seen; the sender has to re-read",
                ));
            }
        }
        if frame.collected.is_some_and(|(_, hlc)| millis_of(hlc) > self.limit(now)) {
            return Err(Error::new(
                ErrorKind::ClockDrift,
                "the sender's collected stamp lies beyond the drift limit",
            ));
        }
        Ok(())
    }

    /// Joins H and HS of a frame, and drops the tombstones that they cover.
    pub(crate) fn join_horizon(&mut self, frame: &Frame<'_>, nodes: &mut FrameNodes<'_>) {
        let before = self.collected;
        if let Some((replica, hlc)) = frame.collected {
            self.raise_collected(Stamp { hlc, replica: frame.replica(replica) });
        }
        let mut raised = self.collected != before;
        for (replica, counter) in frame.horizon.iter() {
            let node = nodes.get(replica, self);
            raised |= self.horizon.raise(node, counter);
        }
        if raised {
            self.drop_collected();
        }
    }

    pub(crate) fn raise_collected(&mut self, stamp: Stamp) {
        // Frames name its replica by its node.
        self.nodes.intern(stamp.replica);
        self.collected = self.collected.max(Some(stamp));
        self.clock = self.clock.max(stamp.hlc);
        self.floor = self.floor.max(stamp.hlc);
    }

    /// Drops the tombstones at or below the horizon, and returns how many those were.
    pub(crate) fn drop_collected(&mut self) -> usize {
        let below = |&record: &Record| {
            !self.records.is_live(record) && self.is_below_horizon(self.records.dot(record))
        };
        let dropped: Vec<Record> = self.records.arrivals().filter(below).collect();
        let mark = self.mark.as_ref().map_or(u64::MAX, |mark| mark.place);
        for &record in &dropped {
            self.is_journal_broken |= self.records.place(record) >= mark;
            self.raise_collected(self.records.stamp(record, &self.nodes));
            self.drop_record(record);
        }
        dropped.len()
    }

    #[inline]
    fn is_below_horizon(&self, dot: NodeDot) -> bool {
        dot.counter <= self.horizon.get(dot.node)
    }

    // Clones.

    /// Notes what an entry of a frame tells of the own id.
    pub(crate) fn suspect(
        &self,
        key: &[u8],
        entry: &EntryBytes<'_>,
        frame: &Frame<'_>,
        own: usize,
        suspects: &mut Suspects,
    ) {
        if let Some((replica, counter)) = entry.origin
            && replica == own
        {
            suspects.name(counter);
        }
        if entry.dot_replica != own {
            return;
        }
        suspects.name(entry.counter);
        let held = if entry.is_prefix() { self.prefixes.get(key) } else { self.records.find(key) };
        match held {
            Some(record)
                if self.records.dot(record)
                    == (NodeDot { node: self.own, counter: entry.counter }) =>
            {
                let stamp = Stamp { hlc: entry.hlc, replica: frame.replica(entry.stamp_replica) };
                suspects.differs |= self.records.stamp(record, &self.nodes) != stamp
                    || self.records.value(record) != entry.value;
            }
            _ => suspects.counters.push((entry.counter, 0)),
        }
    }

    /// Whether the own id was used by another: a counter never given out, or an own dot of another entry.
    pub(crate) fn is_cloned(&self, mut suspects: Suspects) -> bool {
        if suspects.counter_max > self.seen.greatest(self.own) || suspects.differs {
            return true;
        }
        sort(&mut suspects.counters, &|_, _| Ordering::Equal);
        let is_suspect = |&record: &Record| {
            let dot = self.records.dot(record);
            dot.node == self.own && suspects.counters.binary_search(&(dot.counter, 0)).is_ok()
        };
        !suspects.counters.is_empty() && self.records.arrivals().any(|record| is_suspect(&record))
    }

    /// Takes the spare id, and gives all entries of the old one new dots.
    pub(crate) fn take_spare_id(&mut self) {
        let old = core::mem::replace(&mut self.own, 0);
        let mut own: Vec<(u64, Record)> = self
            .records
            .arrivals()
            .map(|record| (self.records.dot(record), record))
            .filter(|(dot, _)| dot.node == old)
            .map(|(dot, record)| (dot.counter, record))
            .collect();
        sort(&mut own, &|left, right| snapshot_order(&self.records, left, right));
        self.own = self.nodes.intern(self.spare);
        for (_, record) in own {
            let dot = self.next_dot();
            self.records.rename(record, dot, self.records.origin(record));
            self.floor = self.floor.max(self.records.hlc(record));
        }
        self.seen.settle(self.own);
        self.pending.clear();
    }

    // Entries.

    /// Merges the entries of a frame, prefix tombstones first.
    pub(crate) fn merge_entries(
        &mut self,
        frame: &Frame<'_>,
        checked: &Checked,
        chunk: &mut Chunk,
        nodes: &mut FrameNodes<'_>,
        merge: &mut Merge<'_>,
    ) {
        if checked.has_prefixes {
            let mut won = Vec::new();
            let mut at = 0;
            frame.chunks(checked, chunk, &mut |chunk| {
                frame.entries(chunk, |key, entry| {
                    if entry.is_prefix() && self.merge_prefix(key, entry, nodes, merge) {
                        won.push(Box::from(key));
                        merge.won(at);
                    }
                    at += 1;
                });
            });
            if !won.is_empty() {
                self.sweep(&won, true);
            }
        }
        // What everything of a peer brings is either held or new: half of what is held is the guess.
        let is_all = frame.base.is_none_or(|(vector, runs)| vector.is_empty() && runs.is_empty());
        let new = if is_all { checked.entries.saturating_sub(self.records.held() / 2) } else { 0 };
        if new > BATCH {
            self.records.reserve(new, checked.key_bytes / checked.entries * new);
        }
        let mut start = 0;
        frame.chunks(checked, chunk, &mut |chunk| {
            for from in (0..chunk.len()).step_by(BATCH) {
                self.merge_batch(
                    frame,
                    chunk,
                    from..chunk.len().min(from + BATCH),
                    start,
                    nodes,
                    merge,
                );
            }
            start += chunk.len();
        });
    }

    /// Merges some entries of a chunk; all their slots are asked for, then all their records, before the first is looked at.
    fn merge_batch(
        &mut self,
        frame: &Frame<'_>,
        chunk: &Chunk,
        batch: core::ops::Range<usize>,
        start: usize,
        nodes: &mut FrameNodes<'_>,
        merge: &mut Merge<'_>,
    ) {
        let mut hashes = [0; BATCH];
        for (hash, at) in hashes.iter_mut().zip(batch.clone()) {
            *hash = self.records.hash(chunk.key(at));
        }
        self.records.ask_slots(&hashes[..batch.len()]);
        self.records.ask_records(&hashes[..batch.len()]);
        for (hash, at) in hashes.into_iter().zip(batch) {
            let entry = chunk.entry(at, frame.bytes);
            if !entry.is_prefix() {
                self.merge_entry(chunk.key(at), hash, &entry, start + at, nodes, merge);
            }
        }
    }

    /// What comes before an entry meets the one held: refusal, horizon, clock, version. Answers none when that is all.
    #[expect(
        clippy::inline_always,
        reason = "called for each entry of a merge; the WASM build would leave it outside the loop, which costs a tenth"
    )]
    #[inline(always)]
    fn admit<'a>(
        &mut self,
        key: &[u8],
        entry: &EntryBytes<'a>,
        nodes: &mut FrameNodes<'_>,
        merge: &mut Merge<'_>,
    ) -> Option<Fields<'a>> {
        if millis_of(entry.hlc) > merge.limit {
            merge.report.refused += 1;
            let replica = |index: usize| ReplicaId(nodes.replicas[index]);
            let stamp = Stamp { hlc: entry.hlc, replica: replica(entry.stamp_replica) };
            let dot = Dot { replica: replica(entry.dot_replica), counter: entry.counter };
            let origin =
                entry.origin.map(|(index, counter)| Dot { replica: replica(index), counter });
            merge.refusals.push_entry(key, entry.value, stamp, dot, origin);
            return None;
        }
        let dot = NodeDot { node: nodes.get(entry.dot_replica, self), counter: entry.counter };
        if self.is_below_horizon(dot) && !(merge.repair && entry.value.is_live()) {
            return None;
        }
        self.clock = self.clock.max(entry.hlc);
        self.floor = self.floor.max(entry.hlc);
        if merge.closed.get(entry.dot_replica).is_none_or(|&closed| closed < dot.counter) {
            self.seen.except(dot.node, dot.counter, dot.counter);
        }
        let origin =
            entry.origin.map(|(index, counter)| NodeDot { node: nodes.get(index, self), counter });
        if let Some(origin) = origin {
            self.seen.except(origin.node, origin.counter, origin.counter);
        }
        let stamp_node = nodes.get(entry.stamp_replica, self);
        Some(Fields { value: entry.value, hlc: entry.hlc, stamp_node, dot, origin })
    }

    fn merge_prefix(
        &mut self,
        prefix: &[u8],
        entry: &EntryBytes<'_>,
        nodes: &mut FrameNodes<'_>,
        merge: &mut Merge<'_>,
    ) -> bool {
        let Some(fields) = self.admit(prefix, entry, nodes, merge) else { return false };
        let wins = self.prefix_wins(prefix, &fields);
        if wins {
            self.put_prefix(prefix, &fields);
            merge.report.applied += 1;
        }
        wins
    }

    /// Whether a prefix tombstone is neither covered nor beaten by the one of its prefix.
    pub(crate) fn prefix_wins(&self, prefix: &[u8], fields: &Fields<'_>) -> bool {
        let stamp = Stamp { hlc: fields.hlc, replica: self.nodes.id(fields.stamp_node) };
        !self.prefixes.cover_prefix(prefix, stamp, &self.records, &self.nodes)
            && self.prefixes.get(prefix).is_none_or(|record| self.beats(fields, record))
    }

    #[inline]
    fn merge_entry(
        &mut self,
        key: &[u8],
        hash: u32,
        entry: &EntryBytes<'_>,
        at: usize,
        nodes: &mut FrameNodes<'_>,
        merge: &mut Merge<'_>,
    ) {
        let Some(fields) = self.admit(key, entry, nodes, merge) else { return };
        let held = self.records.find_hashed(key, hash);
        if !self.entry_wins(key, &fields, held) {
            return;
        }
        if !self.watched.is_empty() && is_watched(&self.watched, key) {
            let none = Value::NONE;
            let before = held.map_or(none, |record| self.records.value(record));
            if before != fields.value {
                self.patch.push_change(key, before, fields.value);
            }
        }
        self.put(key, hash, held, &fields);
        merge.report.applied += 1;
        merge.won(at);
    }

    /// Whether an entry is neither covered nor beaten by the one held.
    #[inline]
    pub(crate) fn entry_wins(&self, key: &[u8], fields: &Fields<'_>, held: Option<Record>) -> bool {
        if !held.is_none_or(|record| self.beats(fields, record)) {
            return false;
        }
        self.prefixes.is_empty() || {
            let stamp = Stamp { hlc: fields.hlc, replica: self.nodes.id(fields.stamp_node) };
            !self.prefixes.cover(key, stamp, &self.records, &self.nodes)
        }
    }

    /// The order of entries, written once: whether `fields` rank above what is held.
    ///
    /// The later stamp wins. Equal stamps come only from explicit stamps or a replica id used twice; then a value beats a
    /// tombstone, the greater bytes win, and of equal writes the greater dot stays, so that all replicas agree.
    #[inline]
    fn beats(&self, fields: &Fields<'_>, record: Record) -> bool {
        let held = self.records.hlc(record);
        if fields.hlc != held {
            return fields.hlc > held;
        }
        let id = |node| self.nodes.id(node);
        let dot = |dot: NodeDot| (id(dot.node), dot.counter);
        id(fields.stamp_node)
            .cmp(&id(self.records.stamp_node(record)))
            .then_with(|| fields.value.cmp(&self.records.value(record)))
            // A dot that a re-read gave is new to all, so it has to win over the first one, whatever the ids.
            .then_with(|| fields.origin.is_some().cmp(&self.records.origin(record).is_some()))
            .then_with(|| dot(fields.dot).cmp(&dot(self.records.dot(record))))
            .then_with(|| fields.origin.map(dot).cmp(&self.records.origin(record).map(dot)))
            .is_gt()
    }

    // Versions.

    /// Whether the version that a delta starts from was seen; a snapshot starts from nothing.
    fn has_base(&self, frame: &Frame<'_>) -> bool {
        let Some((vector, runs)) = frame.base else { return frame.kind == SNAPSHOT };
        let has = |replica, first, last| {
            self.nodes
                .find(frame.replica(replica))
                .is_some_and(|node| self.seen.has_run(node, first, last))
        };
        vector.iter().all(|(replica, counter)| has(replica, 1, counter)) && runs.all(has)
    }

    fn has_version(&self, version: &SenderVersion) -> bool {
        let has = |id, first, last| {
            self.nodes.find(id).is_some_and(|node| self.seen.has_run(node, first, last))
        };
        version.vector.iter().all(|&(id, counter)| has(id, 1, counter))
            && version.runs.iter().all(|&(id, first, last)| has(id, first, last))
    }

    /// Adopts the sender's version where rule 5 allows it. Answers whether that version is known and was seen, adopted or not.
    fn adopt(
        &mut self,
        frame: &Frame<'_>,
        tainted: bool,
        adopt: bool,
        nodes: &mut FrameNodes<'_>,
    ) -> bool {
        let Some((id, number)) = frame.part else {
            let Some(end) = frame.end else { return false };
            let may = !tainted && if frame.kind == CHANGES { adopt } else { self.has_base(frame) };
            if may {
                for (replica, counter) in frame.vector.iter() {
                    let node = nodes.get(replica, self);
                    self.seen.raise(node, counter);
                }
                end.for_each(|replica, first, last| {
                    let node = nodes.get(replica, self);
                    self.seen.except(node, first, last);
                });
            }
            // A difference does not tell the sender's version to who does not adopt it.
            return may || (!frame.difference && self.has_version(&SenderVersion::of(frame)));
        };
        let (complete, tainted) = self.remember(frame, id, number, tainted);
        let Some(version) = complete else {
            return frame.end.is_some() && self.has_version(&SenderVersion::of(frame));
        };
        if !tainted && self.has_base(frame) {
            self.join_version(&version);
        }
        self.has_version(&version)
    }

    /// Remembers a part of a delta. Answers the sender's version when it was the last one missing, and whether any was tainted.
    fn remember(
        &mut self,
        frame: &Frame<'_>,
        id: u64,
        number: u64,
        tainted: bool,
    ) -> (Option<SenderVersion>, bool) {
        let at = self.pending.iter().position(|pending| pending.id == id).unwrap_or_else(|| {
            if self.pending.len() == PENDING_MAX {
                self.pending.remove(0);
            }
            self.pending.push(Pending { id, parts: Runs::default(), last: None, tainted: false });
            self.pending.len() - 1
        });
        let pending = &mut self.pending[at];
        pending.tainted |= tainted;
        let touches = pending.parts.holds(number, number)
            || pending.parts.holds(number + 1, number + 1)
            || pending.parts.holds(number + 2, number + 2);
        if touches || pending.parts.iter().len() < PART_RUNS_MAX {
            pending.parts.add(number + 1, number + 1);
        }
        if frame.end.is_some() {
            pending.last = Some((number + 1, SenderVersion::of(frame)));
        }
        match &pending.last {
            Some((last, _)) if pending.parts.holds(1, *last) => {
                let pending = self.pending.remove(at);
                (pending.last.map(|(_, version)| version), pending.tainted)
            }
            _ => (None, pending.tainted),
        }
    }

    pub(crate) fn join_version(&mut self, version: &SenderVersion) {
        for &(id, counter) in &version.vector {
            let node = self.nodes.intern(id);
            self.seen.raise(node, counter);
        }
        for &(id, first, last) in &version.runs {
            let node = self.nodes.intern(id);
            self.seen.except(node, first, last);
        }
    }
}

/// The greatest counter of the replica at `own` that the header of a frame names.
pub(crate) fn named_counter(frame: &Frame<'_>, own: usize) -> u64 {
    let base = frame.base.unwrap_or_default();
    let mut named = 0;
    for vector in [frame.vector, frame.horizon, base.0] {
        vector
            .iter()
            .filter(|&(replica, _)| replica == own)
            .for_each(|(_, counter)| named = named.max(counter));
    }
    for runs in [frame.end.unwrap_or_default(), base.1] {
        runs.for_each(|replica, _, last| {
            named = if replica == own { named.max(last) } else { named }
        });
    }
    named
}

/// A merge under way.
pub(crate) struct Merge<'a> {
    /// What the vector to be adopted has of each replica of the frame; empty when none will be.
    pub closed: Vec<u64>,
    /// The latest milliseconds that are not refused.
    pub limit: u64,
    /// Values at or below the horizon are merged, too.
    pub repair: bool,
    pub refusals: Columns,
    /// Which entries won, by their place in the frame, for who asks.
    pub winners: Option<Vec<bool>>,
    pub report: &'a mut MergeReport,
}

impl Merge<'_> {
    #[inline]
    fn won(&mut self, at: usize) {
        if let Some(winners) = &mut self.winners {
            winners[at] = true;
        }
    }
}

/// What a frame tells of the own id.
#[derive(Default)]
pub(crate) struct Suspects {
    counter_max: u64,
    differs: bool,
    /// Own dots of entries that are not held under them: no other entry may be.
    counters: Vec<(u64, u32)>,
}

impl Suspects {
    /// Leaves what is not about counters alone.
    fn forget_entries(&mut self) {
        self.differs = false;
        self.counters.clear();
    }

    /// Notes a counter under which the own id is named.
    pub fn name(&mut self, counter: u64) {
        self.counter_max = self.counter_max.max(counter);
    }
}
