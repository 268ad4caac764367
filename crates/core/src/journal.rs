//! Journals: what the own storage keeps, and how it comes back. docs/engine.md, «The own storage».

use crate::block::Chunk;
use crate::collector::Collector;
use crate::dictionary::Dictionary;
use crate::error::{Error, ErrorKind, Result};
use crate::export::{Parts, check_part_bytes, put_replicas};
use crate::frame::{self, Checked, ENTRIES, Frame, JOURNAL, WHOLE, field};
use crate::merge::{BATCH, FrameNodes};
use crate::records::{Fields, NodeDot, Record};
use crate::stamp::ReplicaId;
use crate::told::{Known, Told};
use crate::wire::put_varint;

/// How to write a journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// All of the state instead of what changed.
    pub whole: bool,
    /// Parts of a whole one of at most this many bytes; `u64::MAX` for one part.
    pub part_bytes_max: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { whole: false, part_bytes_max: u64::MAX }
    }
}

/// The state at the last journal, but for the entries: what has a lower place in the log was told.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    pub place: u64,
    known: Known,
    clock: u64,
    floor: u64,
    own: u32,
}

/// What a journal is made of besides its entries and the clock.
struct Header<'a> {
    told: &'a Told,
    attributes: &'a [u8],
    is_whole: bool,
    place: u64,
}

impl Dictionary {
    /// Writes what changed since the last journal into `out`, as one part, or none when nothing did; or the whole state, in parts.
    ///
    /// Whoever replays all journals since the last whole one, in order, has the state again. `attributes` are the bytes of field 10
    /// (docs/format.md), which mean nothing here. Nothing in a journal counts as handed out. Costs the changes and a look at every writer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] when the journal is broken and `whole` was not asked for, or for parts of no bytes;
    /// [`ErrorKind::TransactionOpen`].
    pub fn journal(
        &mut self,
        attributes: &[u8],
        options: &JournalOptions,
        out: &mut Parts,
    ) -> Result<()> {
        self.no_transaction()?;
        check_part_bytes(options.part_bytes_max)?;
        if self.is_journal_broken && !options.whole {
            let reason = "what changed cannot be told as a difference; ask for a whole journal";
            return Err(Error::new(ErrorKind::InvalidArgument, reason));
        }
        out.bytes.clear();
        out.ends.clear();
        let nothing = Mark::default();
        let mark = self.mark.as_ref().filter(|_| !options.whole);
        let from = mark.unwrap_or(&nothing);
        let mut told = Told::since(self, &from.known);
        if !told.horizon.is_empty() || told.collected.is_some() {
            // Of H and HS a journal tells all or nothing.
            told.horizon = self.horizon.iter().map(|(node, _)| node).collect();
            told.collected = self.collected;
        }
        let records: Vec<Record> =
            self.records.arrivals_since(from.place).map(|(_, record)| record).collect();
        let is_same = mark.is_some()
            && records.is_empty()
            && told.is_nothing()
            && attributes.is_empty()
            && (from.clock, from.floor, from.own) == (self.clock, self.floor, self.own);
        if is_same {
            return Ok(());
        }
        let cuts = if options.whole && options.part_bytes_max < u64::MAX {
            self.cuts(&records, options.part_bytes_max)
        } else {
            vec![records.len()]
        };
        let (mut start, mut attributes) = (0, attributes);
        for cut in cuts {
            let place = self.head() - (records.len() - start) as u64;
            let header = Header { told: &told, attributes, is_whole: options.whole, place };
            self.put_journal(&header, &records[start..cut], &mut out.bytes);
            out.ends.push(out.bytes.len());
            start = cut;
            (told, attributes) = (Told::default(), &[]);
        }
        self.is_journal_broken = false;
        self.set_mark();
        Ok(())
    }

    /// Whether what changed can no longer be told as a difference, so that the next journal has to be whole.
    #[must_use]
    pub fn is_journal_broken(&self) -> bool {
        self.is_journal_broken
    }

    /// Puts back what a journal told: entries, version, horizon, clock and the own replica id. A frame of entries puts back
    /// these alone; the journal that follows has the rest.
    ///
    /// # Errors
    ///
    /// Those of reading frames; [`ErrorKind::InvalidArgument`] when the dictionary is further than where the journal begins;
    /// [`ErrorKind::TransactionOpen`]. Nothing changes then.
    pub fn replay(&mut self, bytes: &[u8]) -> Result<()> {
        self.no_transaction()?;
        let frame = Frame::read(bytes, &[ENTRIES, JOURNAL])?;
        let mut chunk = core::mem::take(&mut self.chunk);
        let checked = frame.check(&mut chunk, &mut |_| {})?;
        if let Some((_, place)) = frame.place {
            if place < self.head() {
                let reason =
                    "the journal begins before what is there; replay it into what it follows";
                return Err(Error::new(ErrorKind::InvalidArgument, reason));
            }
            self.records.move_head(place, self.is_place_due);
        }
        self.is_place_due = frame.kind == ENTRIES;
        let mut nodes = FrameNodes::new(frame.replicas);
        self.replay_entries(&frame, &checked, &mut chunk, &mut nodes);
        self.chunk = chunk;
        self.replay_state(&frame, &mut nodes);
        self.pending.clear();
        self.settled();
        self.set_mark();
        Ok(())
    }

    /// Goes on under another id, or the same; nothing that was written under the former one is given a new stamp from now on.
    ///
    /// Costs a pass over all entries.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`].
    pub fn set_replica_id(&mut self, id: ReplicaId) -> Result<()> {
        self.no_transaction()?;
        let is_own = |&record: &Record| self.records.dot(record).node == self.own;
        let own = self.records.arrivals().filter(is_own).map(|record| self.records.hlc(record));
        self.floor = own.fold(self.floor, u64::max);
        self.own = self.nodes.intern(id);
        self.seen.settle(self.own);
        self.pending.clear();
        Ok(())
    }

    fn set_mark(&mut self) {
        let mut mark = self.mark.take().unwrap_or_default();
        mark.known.copy(self);
        mark.place = self.records.head();
        (mark.clock, mark.floor, mark.own) = (self.clock, self.floor, self.own);
        self.mark = Some(mark);
    }

    fn put_journal(
        &mut self,
        &Header { told, attributes, is_whole, place }: &Header<'_>,
        records: &[Record],
        out: &mut Vec<u8>,
    ) {
        let Self { records: store, nodes, seen, table, writer, .. } = self;
        let start = out.len();
        frame::begin(out, JOURNAL);
        table.start(nodes.len());
        table.use_node(self.own);
        told.use_nodes(table, nodes, true);
        table.use_entries(store, records);
        table.finish(nodes, None);
        put_replicas(out, &mut table.ids.iter().copied());
        table.put_vector(seen, Some(&told.closed), out);
        table.put_horizon(&self.horizon, Some(&told.horizon), told.collected, out);
        if !told.excepted.is_empty() {
            table.put_end(seen, Some(&told.excepted), out);
        }
        if is_whole {
            out.extend_from_slice(&[field::FLAGS, 1, WHOLE]);
        }
        frame::put_field(out, field::CLOCK, |out| {
            out.extend_from_slice(&self.clock.to_le_bytes());
            out.extend_from_slice(&self.floor.to_le_bytes());
        });
        frame::put_field(out, field::PLACE, |out| {
            put_varint(out, u64::from(table.index(self.own)));
            put_varint(out, place);
        });
        if !attributes.is_empty() {
            frame::put_field(out, field::ATTRIBUTES, |out| out.extend_from_slice(attributes));
        }
        table.put_collector(told.collector, out);
        out.push(0);
        table.put_entries(store, records, writer, out);
        frame::end(out, start);
    }

    fn replay_entries(
        &mut self,
        frame: &Frame<'_>,
        checked: &Checked,
        chunk: &mut Chunk,
        nodes: &mut FrameNodes<'_>,
    ) {
        // What changed is either held or new: half of what is held is the guess.
        let held = if frame.whole { 0 } else { self.records.held() / 2 };
        let new = checked.entries.saturating_sub(held);
        if new > BATCH {
            self.records.reserve(new, checked.key_bytes / checked.entries * new);
        }
        frame.chunks(checked, chunk, &mut |chunk| {
            for from in (0..chunk.len()).step_by(BATCH) {
                let batch = from..chunk.len().min(from + BATCH);
                let mut hashes = [0; BATCH];
                for (hash, at) in hashes.iter_mut().zip(batch.clone()) {
                    *hash = self.records.hash(chunk.key(at));
                }
                if batch.len() > 1 {
                    self.records.ask_slots(&hashes[..batch.len()]);
                    self.records.ask_records(&hashes[..batch.len()]);
                }
                for (hash, at) in hashes.into_iter().zip(batch) {
                    let (key, entry) = (chunk.key(at), chunk.entry(at, frame.bytes));
                    let mut dot =
                        |(index, counter)| NodeDot { node: nodes.get(index, self), counter };
                    let origin = entry.origin.map(&mut dot);
                    let dot = dot((entry.dot_replica, entry.counter));
                    let stamp_node = nodes.get(entry.stamp_replica, self);
                    let fields =
                        Fields { value: entry.value, hlc: entry.hlc, stamp_node, dot, origin };
                    if entry.is_prefix() {
                        self.put_prefix_over(key, &fields);
                    } else {
                        let held = self.records.find_hashed(key, hash);
                        self.put(key, hash, held, &fields);
                    }
                }
            }
        });
    }

    /// Puts back what a journal has besides entries.
    fn replay_state(&mut self, frame: &Frame<'_>, nodes: &mut FrameNodes<'_>) {
        let (Some((own, _)), Some((clock, floor))) = (frame.place, frame.clock) else { return };
        for (replica, counter) in frame.vector.iter() {
            let node = nodes.get(replica, self);
            self.seen.raise(node, counter);
        }
        frame.end.unwrap_or_default().for_each(|replica, first, last| {
            let node = nodes.get(replica, self);
            self.seen.except(node, first, last);
        });
        self.own = nodes.get(own, self);
        self.seen.settle(self.own);
        let was_broken = self.is_journal_broken;
        self.join_horizon(frame, nodes);
        self.is_journal_broken = was_broken;
        self.join_collector(Collector::of(frame));
        (self.clock, self.floor) = (clock, floor);
    }
}
