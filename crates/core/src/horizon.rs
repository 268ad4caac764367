//! What goes beyond merging: collection of tombstones, new stamps, re-reading, and loading.

use core::ops::Range;

use crate::block::Chunk;
use crate::collector::Collector;
use crate::dictionary::{Dictionary, Options, is_watched};
use crate::error::{Error, ErrorKind, Read, Result};
use crate::frame::{Frame, SNAPSHOT, VERSION};
use crate::merge::{BATCH, FrameNodes, MergeReport, SenderVersion, Suspects, named_counter};
use crate::order::{Order, snapshot_order};
use crate::prefixes::Prefixes;
use crate::records::{Fields, NodeDot, Record, Records};
use crate::sort::{sort, sorted_places};
use crate::stamp::{MILLIS_MAX, Stamp, millis_of, tick};
use crate::value::Value;

/// A snapshot whose parts are all there and sound.
struct Snapshot<'a> {
    parts: Vec<Frame<'a>>,
    entries: usize,
    key_bytes: usize,
    hlc_max: u64,
    tainted: bool,
}

/// An entry that a re-reader holds and the snapshot has not seen.
struct Rescued {
    key: Box<[u8]>,
    payload: Box<[u8]>,
    tag: u8,
    hlc: u64,
    stamp_node: u32,
    dot: NodeDot,
    origin: Option<NodeDot>,
}

impl Rescued {
    fn fields(&self) -> Fields<'_> {
        let value = Value { tag: self.tag, payload: &self.payload };
        let origin = self.origin.or(Some(self.dot));
        Fields { value, hlc: self.hlc, stamp_node: self.stamp_node, dot: self.dot, origin }
    }
}

impl Dictionary {
    /// A dictionary with the state of a snapshot, given by all its parts. No entry is refused for its stamp.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] unless the parts are those of one snapshot; those of reading frames; [`ErrorKind::ClockDrift`]
    /// when entries were withheld from it.
    pub fn load(options: &Options, parts: &[&[u8]]) -> Result<Self> {
        let snapshot = Snapshot::read(parts)?;
        if snapshot.tainted {
            let reason = "entries were withheld from the snapshot, as their stamps lie ahead; try again later";
            return Err(Error::new(ErrorKind::ClockDrift, reason));
        }
        let mut dictionary = Self::new(options);
        dictionary.install(&snapshot);
        dictionary.seen.settle(dictionary.own);
        Ok(dictionary)
    }

    /// Raises the horizon to the vector of `horizon`, a version that every known replica has acknowledged, and returns how many tombstones that dropped.
    ///
    /// A replica that is further behind is told so from now on and has to re-read. Costs a pass over all entries.
    ///
    /// # Errors
    ///
    /// Those of reading a version; [`ErrorKind::TransactionOpen`].
    pub fn collect_tombstones(&mut self, horizon: &[u8], now: u64) -> Result<usize> {
        self.no_transaction()?;
        let frame = Frame::read(horizon, &[VERSION])?;
        let mut target: Vec<u64> = vec![0; self.nodes.len()];
        for (replica, counter) in frame.vector.iter() {
            if let Some(node) = self.nodes.find(frame.replica(replica)) {
                target[node as usize] = counter.min(self.seen.vector(node));
            }
        }
        for record in self.records.arrivals() {
            if millis_of(self.records.hlc(record)) > now {
                let dot = self.records.dot(record);
                let target = &mut target[dot.node as usize];
                *target = (*target).min(dot.counter - 1);
            }
        }
        let mut raised = false;
        for (node, counter) in (0..).zip(target) {
            raised |= self.horizon.raise(node, counter);
        }
        let dropped = if raised { self.drop_collected() } else { 0 };
        self.settled();
        Ok(dropped)
    }

    /// Gives own entries that were never handed out fresh stamps, when the own clock is ahead of `now` by more than the drift limit.
    ///
    /// Returns how many got one. The order of the entries stays.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`].
    pub fn restamp(&mut self, now: u64) -> Result<usize> {
        self.no_transaction()?;
        self.patch.clear();
        self.end_patch();
        if !self.is_ahead(now) {
            return Ok(0);
        }
        let collected = self.collected.map_or(0, |stamp| stamp.hlc);
        self.clock = (now.min(MILLIS_MAX) << 16).max(collected).max(self.floor);
        let lowered = self.clock;
        let is_due = |&record: &Record| {
            self.records.dot(record).node == self.own && self.records.hlc(record) > lowered
        };
        let mut due: Vec<(u64, Record)> = self
            .records
            .arrivals()
            .filter(is_due)
            .map(|record| (self.records.hlc(record), record))
            .collect();
        sort(&mut due, &|left, right| {
            let rank = |record| {
                (self.records.stamp(record, &self.nodes), self.records.dot(record).counter)
            };
            rank(left).cmp(&rank(right)).then_with(|| snapshot_order(&self.records, left, right))
        });
        for &(_, record) in &due {
            self.clock = tick(self.clock, now);
            let dot = self.next_dot();
            self.records.restamp(record, self.clock, self.own, dot, &self.nodes);
        }
        self.is_journal_broken |= self.mark.is_some() && !due.is_empty();
        self.settled();
        Ok(due.len())
    }

    /// Installs a snapshot, given by all its parts, in place of the entries held; what it has not seen is kept.
    ///
    /// `applied` counts what was kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] unless the parts are those of one snapshot; those of reading frames; [`ErrorKind::SenderBelowHorizon`] when the
    /// snapshot has not seen what the own horizon covers; [`ErrorKind::ClockDrift`] when it holds a stamp beyond the drift limit: try again later;
    /// [`ErrorKind::TransactionOpen`]. Nothing changes then.
    pub fn reread(&mut self, parts: &[&[u8]], now: u64) -> Result<MergeReport> {
        self.no_transaction()?;
        let snapshot = Snapshot::read(parts)?;
        let last = snapshot.last();
        let version = SenderVersion::of(last);
        if !self
            .horizon
            .iter()
            .all(|(node, counter)| version.closed(self.nodes.id(node)) >= counter)
        {
            let reason = "this replica collected tombstones that the snapshot has not seen; read another one";
            return Err(Error::new(ErrorKind::SenderBelowHorizon, reason));
        }
        let collected = last.collected.map_or(0, |(_, hlc)| hlc);
        let collector = last.collector.map_or(0, |(_, hlc, _)| hlc);
        let greatest = snapshot.hlc_max.max(collected).max(collector);
        if snapshot.tainted || millis_of(greatest) > self.limit(now) {
            let reason = "the snapshot holds stamps beyond the drift limit; try again later";
            return Err(Error::new(ErrorKind::ClockDrift, reason));
        }
        let mut report = MergeReport { complete: true, ..MergeReport::default() };
        if self.is_cloned_by(&snapshot) {
            self.take_spare_id();
            report.cloned = true;
        }
        let before = core::mem::replace(&mut self.records, Records::new([0; 2], 0));
        self.records = Records::new(before.seed(), before.head());
        self.order = Order::default();
        self.prefixes = Prefixes::default();
        self.pending.clear();
        self.install(&snapshot);
        self.clock = self.clock.max(snapshot.hlc_max);
        self.drop_collected();
        self.keep(self.rescued(&before, &version), &mut report);
        self.seen.settle(self.own);
        self.patch_since(&before);
        self.end_patch();
        self.refusal_bytes.clear();
        report.patched = !self.patch.is_empty();
        self.is_journal_broken |= self.mark.is_some();
        self.settled();
        Ok(report)
    }

    /// Whether a snapshot tells that the own id is in use elsewhere.
    fn is_cloned_by(&self, snapshot: &Snapshot<'_>) -> bool {
        let mut suspects = Suspects::default();
        for frame in &snapshot.parts {
            if let Ok(own) = frame.replicas.binary_search(&self.replica_id().0) {
                suspects.name(named_counter(frame, own));
                frame.chunks_anew(&mut |chunk| {
                    frame.entries(chunk, |key, entry| {
                        self.suspect(key, entry, frame, own, &mut suspects);
                    });
                });
            }
        }
        self.is_cloned(suspects)
    }

    /// Puts the entries of a snapshot in, into no others, and joins its version, horizon and clock.
    fn install(&mut self, snapshot: &Snapshot<'_>) {
        self.records.reserve(snapshot.entries, snapshot.key_bytes);
        for frame in &snapshot.parts {
            let mut nodes = FrameNodes::new(frame.replicas);
            frame.chunks_anew(&mut |chunk| {
                for from in (0..chunk.len()).step_by(BATCH) {
                    self.install_batch(
                        frame,
                        chunk,
                        from..chunk.len().min(from + BATCH),
                        &mut nodes,
                    );
                }
            });
        }
        let last = snapshot.last();
        self.join_version(&SenderVersion::of(last));
        for (replica, counter) in last.horizon.iter() {
            let node = self.nodes.intern(last.replica(replica));
            self.horizon.raise(node, counter);
        }
        if let Some((replica, hlc)) = last.collected {
            self.raise_collected(Stamp { hlc, replica: last.replica(replica) });
        }
        self.join_collector(Collector::of(last));
        self.clock = self.clock.max(snapshot.hlc_max);
        self.floor = self.floor.max(snapshot.hlc_max);
    }

    fn install_batch(
        &mut self,
        frame: &Frame<'_>,
        chunk: &Chunk,
        batch: Range<usize>,
        nodes: &mut FrameNodes<'_>,
    ) {
        let mut hashes = [0; BATCH];
        for (hash, at) in hashes.iter_mut().zip(batch.clone()) {
            *hash = self.records.hash(chunk.key(at));
        }
        self.records.ask_slots(&hashes[..batch.len()]);
        for (hash, at) in hashes.into_iter().zip(batch) {
            let (key, entry) = (chunk.key(at), chunk.entry(at, frame.bytes));
            let mut dot = |(index, counter)| NodeDot { node: nodes.get(index, self), counter };
            let (dot, origin) = (dot((entry.dot_replica, entry.counter)), entry.origin.map(dot));
            let stamp_node = nodes.get(entry.stamp_replica, self);
            let fields = Fields { value: entry.value, hlc: entry.hlc, stamp_node, dot, origin };
            let record = self.records.insert(key, hash, &fields, &self.nodes);
            if entry.is_prefix() {
                self.prefixes.insert(key, record);
            }
        }
    }

    /// The entries of `before` that the snapshot just installed has not seen, by dot.
    fn rescued(&self, before: &Records, version: &SenderVersion) -> Vec<Rescued> {
        let is_unseen = |dot: NodeDot| !version.has(self.dot(dot));
        let rescued: Vec<Rescued> = before
            .arrivals()
            .filter(|&record| {
                is_unseen(before.dot(record))
                    && before.origin(record).is_none_or(is_unseen)
                    && !self.has_equal(before, record)
            })
            .map(|record| {
                let Fields { value, hlc, stamp_node, dot, origin } = before.fields(record);
                let (key, payload) = (before.key(record).into(), value.payload.into());
                Rescued { key, payload, tag: value.tag, hlc, stamp_node, dot, origin }
            })
            .collect();
        self.by_dot(rescued)
    }

    fn by_dot(&self, rescued: Vec<Rescued>) -> Vec<Rescued> {
        let compare = |a: u32, b: u32| {
            let (a, b) = (&rescued[a as usize], &rescued[b as usize]);
            self.dot(a.dot).cmp(&self.dot(b.dot)).then_with(|| a.key.cmp(&b.key))
        };
        let places: Vec<usize> = sorted_places(rescued.len(), &compare).collect();
        let mut rescued: Vec<Option<Rescued>> = rescued.into_iter().map(Some).collect();
        places.into_iter().filter_map(|place| rescued[place].take()).collect()
    }

    /// Whether the snapshot just installed has an entry of the same key, kind, stamp and value.
    fn has_equal(&self, before: &Records, record: Record) -> bool {
        let key = before.key(record);
        let installed =
            if before.is_prefix(record) { self.prefixes.get(key) } else { self.records.find(key) };
        installed.is_some_and(|installed| {
            self.records.stamp(installed, &self.nodes) == before.stamp(record, &self.nodes)
                && self.records.value(installed) == before.value(record)
        })
    }

    /// Merges rescued entries back; winners get own new dots.
    fn keep(&mut self, rescued: Vec<Rescued>, report: &mut MergeReport) {
        let (prefixes, entries): (Vec<_>, Vec<_>) =
            rescued.into_iter().partition(|rescued| rescued.tag == crate::value::PREFIX);
        let total = prefixes.len() + entries.len();
        let head = self.records.head();
        for rescued in &prefixes {
            if self.prefix_wins(&rescued.key, &rescued.fields()) {
                self.put_prefix(&rescued.key, &rescued.fields());
            }
        }
        // Which of them win is known only now; those arrive, each once, under new dots.
        self.records.forget_arrivals(head);
        let mut won = Vec::new();
        for rescued in prefixes {
            // One that a later one covers, or beats at its prefix, did not win after all.
            let Some(record) = self.prefixes.get(&rescued.key) else { continue };
            if self.records.dot(record) == rescued.dot {
                let dot = self.next_dot();
                self.records.arrive_as(record, dot, rescued.fields().origin);
                self.floor = self.floor.max(rescued.hlc);
                won.push(rescued.key);
            }
        }
        report.applied += won.len();
        if !won.is_empty() {
            self.sweep(&won, false);
        }
        for rescued in entries {
            let hash = self.records.hash(&rescued.key);
            let there = self.records.find_hashed(&rescued.key, hash);
            if self.entry_wins(&rescued.key, &rescued.fields(), there) {
                let dot = self.next_dot();
                self.put(&rescued.key, hash, there, &Fields { dot, ..rescued.fields() });
                self.floor = self.floor.max(rescued.hlc);
                report.applied += 1;
            }
        }
        report.ignored = total - report.applied;
    }

    /// Tells what is watched and differs from `before`, in order of the keys.
    fn patch_since(&mut self, before: &Records) {
        self.patch.clear();
        if self.watched.is_empty() {
            return;
        }
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        for records in [before, &self.records] {
            let live = records.arrivals().filter(|&record| records.is_live(record));
            let watched =
                live.map(|record| records.key(record)).filter(|key| is_watched(&self.watched, key));
            keys.extend(watched.map(Box::from));
        }
        let compare = |a: u32, b: u32| keys[a as usize].cmp(&keys[b as usize]);
        let mut last: Option<&[u8]> = None;
        for place in sorted_places(keys.len(), &compare) {
            let key: &[u8] = &keys[place];
            if last.replace(key) == Some(key) {
                continue;
            }
            let value =
                |records: &Records| records.find(key).filter(|&record| records.is_live(record));
            let old = value(before).map_or(Value::NONE, |record| before.value(record));
            let new = value(&self.records).map_or(Value::NONE, |record| self.records.value(record));
            if old != new {
                self.patch.push_change(key, old, new);
            }
        }
    }
}

impl<'a> Snapshot<'a> {
    /// Reads all parts of one snapshot, given in any order.
    fn read(parts: &[&'a [u8]]) -> Result<Self> {
        let frames =
            parts.iter().map(|part| Frame::read(part, &[SNAPSHOT])).collect::<Read<Vec<_>>>()?;
        let number = |place: u32| frames[place as usize].part.map(|(_, number)| number);
        let places = sorted_places(frames.len(), &|a, b| number(a).cmp(&number(b)));
        let frames: Vec<Frame<'a>> = places.map(|place| frames[place]).collect();
        let is_one = match frames.as_slice() {
            [] => false,
            [frame] if frame.part.is_none() => true,
            [first, ..] => {
                let id = first.part.map(|(id, _)| id);
                (0_u64..).zip(&frames).all(|(number, frame)| {
                    frame.part.is_some() && frame.part == id.map(|id| (id, number))
                }) && frames
                    .iter()
                    .rev()
                    .enumerate()
                    .all(|(from_last, frame)| frame.end.is_some() == (from_last == 0))
            }
        };
        if !is_one {
            let reason = "the frames are not all the parts of one snapshot, once each";
            return Err(Error::new(ErrorKind::InvalidArgument, reason));
        }
        let mut snapshot =
            Self { parts: Vec::new(), entries: 0, key_bytes: 0, hlc_max: 0, tainted: false };
        let mut last: Option<(Vec<u8>, bool)> = None;
        let mut chunk = Chunk::default();
        for frame in frames {
            // Within a part the frame itself sees to the order.
            let (mut first, mut after) = (None, (Vec::new(), false));
            let is_parted = frame.part.is_some();
            let checked = frame.check(&mut chunk, &mut |chunk| {
                if is_parted {
                    let name = |at| (chunk.key(at).to_vec(), !chunk.is_prefix(at));
                    first.get_or_insert_with(|| name(0));
                    after = name(chunk.len() - 1);
                }
            })?;
            if first.is_some() && last >= first {
                return Err(Error::corrupt("the keys of a snapshot are out of order"));
            }
            last = first.is_some().then_some(after).or(last);
            snapshot.entries += checked.entries;
            snapshot.key_bytes += checked.key_bytes;
            snapshot.hlc_max = snapshot.hlc_max.max(checked.hlc_max);
            snapshot.tainted |= frame.tainted;
            snapshot.parts.push(frame);
        }
        Ok(snapshot)
    }

    fn last(&self) -> &Frame<'a> {
        self.parts.last().expect("a snapshot has a part")
    }
}
