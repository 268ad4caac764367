//! The dictionary: its state, what is read of it, and local writes.

use crate::block::{BlockWriter, Chunk, KEY_BYTES_MAX};
use crate::collector::Collector;
use crate::columns::Columns;
use crate::error::{Error, ErrorKind, Result};
use crate::export::Table;
use crate::journal::Mark;
use crate::merge::Pending;
use crate::order::Order;
use crate::prefixes::Prefixes;
use crate::records::{Fields, Former, NodeDot, Record, Records};
use crate::stamp::{Dot, ReplicaId, Stamp, millis_of, tick};
use crate::value::{PREFIX, VALUE_BYTES_MAX, Value};
use crate::version::{NodeVector, Nodes, Seen};

/// What a dictionary is made with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Names the writes of this dictionary and of no other.
    pub replica_id: ReplicaId,
    /// Taken when the replica id turns out to be in use elsewhere.
    pub spare_id: ReplicaId,
    /// The furthest that a stamp may lie ahead, in milliseconds.
    pub drift_max: u64,
    /// Random numbers of the host: nobody outside can then craft keys that collide in the table.
    pub hash_seed: [u64; 2],
}

/// What became of a local write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Whether it won; if not, nothing changed.
    pub won: bool,
    /// Whether the write left the own clock ahead of `now` by more than the drift limit.
    pub clock_ahead: bool,
}

/// Which keys to read: those that begin with `prefix`, from `from` on, before `to`, by bytes.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Only keys that begin with it.
    pub prefix: &'a str,
    /// The first key.
    pub from: Option<&'a str>,
    /// The key to stop before.
    pub to: Option<&'a str>,
    /// The last key first.
    pub reverse: bool,
    /// The most keys to answer.
    pub limit: usize,
}

/// A last-write-wins dictionary that merges with others of its kind.
///
/// Time is an argument, in milliseconds since 1970. Bytes are those of docs/format.md.
///
/// ```
/// use lastwrite_core::{Dictionary, ExportOptions, MergeOptions, Options, Parts, ReplicaId, Value};
///
/// let options = |id| Options { replica_id: ReplicaId([id; 16]), drift_max: 300_000, ..Options::default() };
/// let (mut a, mut b) = (Dictionary::new(&options(1)), Dictionary::new(&options(2)));
/// a.set("greeting", Value::text("hello"), 1_000)?;
/// let mut parts = Parts::default();
/// a.delta(None, &ExportOptions::default(), &mut parts)?;
/// assert_eq!(b.merge(&parts.bytes, 1_000, MergeOptions::default())?.applied, 1);
/// assert_eq!(b.get("greeting"), Some(Value::text("hello")));
/// assert_eq!(a.digest(), b.digest());
/// # Ok::<(), lastwrite_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dictionary {
    pub(crate) records: Records,
    pub(crate) prefixes: Prefixes,
    pub(crate) order: Order,
    pub(crate) nodes: Nodes,
    pub(crate) own: u32,
    pub(crate) spare: ReplicaId,
    pub(crate) drift_max: u64,
    pub(crate) seen: Seen,
    pub(crate) horizon: NodeVector,
    pub(crate) collected: Option<Stamp>,
    pub(crate) collector: Option<Collector>,
    pub(crate) clock: u64,
    /// `restamp` never goes below: the greatest HLC merged, re-read, sent or re-dotted.
    pub(crate) floor: u64,
    pub(crate) pending: Vec<Pending>,
    pub(crate) watched: Vec<Box<[u8]>>,
    pub(crate) patch: Columns,
    pub(crate) patch_bytes: Vec<u8>,
    pub(crate) refusal_bytes: Vec<u8>,
    /// Passes over everything for want of an order, in a row.
    pub(crate) sweeps: u32,
    /// Kept for its memory.
    pub(crate) writer: BlockWriter,
    pub(crate) chunk: Chunk,
    pub(crate) table: Table,
    /// What the own storage knows; none before the first journal.
    pub(crate) mark: Option<Mark>,
    /// What changed since the mark can no longer be told as a difference.
    pub(crate) is_journal_broken: bool,
    /// Entries came back alone, and the place of the log that they belong to is not known yet.
    pub(crate) is_place_due: bool,
    transaction: Option<Transaction>,
}

/// What a transaction undoes.
#[derive(Debug)]
struct Transaction {
    steps: Vec<Step>,
    clock: u64,
    counter: u64,
    had_order: bool,
}

#[derive(Debug)]
enum Step {
    Inserted(Record),
    Overwrote(Record, Former),
    Dropped(Record, Former),
}

impl Dictionary {
    /// An empty dictionary.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let mut nodes = Nodes::default();
        let own = nodes.intern(options.replica_id);
        let nothing = Columns::default();
        let (mut patch_bytes, mut refusal_bytes) = (Vec::new(), Vec::new());
        nothing.write_changes(&mut patch_bytes);
        nothing.write_entries(&mut refusal_bytes);
        Self {
            records: Records::new(options.hash_seed, 0),
            prefixes: Prefixes::default(),
            order: Order::default(),
            nodes,
            own,
            spare: options.spare_id,
            drift_max: options.drift_max,
            seen: Seen::default(),
            horizon: NodeVector::default(),
            collected: None,
            collector: None,
            clock: 0,
            floor: 0,
            pending: Vec::new(),
            watched: Vec::new(),
            patch: nothing,
            patch_bytes,
            refusal_bytes,
            sweeps: 0,
            writer: BlockWriter::default(),
            chunk: Chunk::default(),
            table: Table::default(),
            mark: None,
            is_journal_broken: false,
            is_place_due: false,
            transaction: None,
        }
    }

    /// The id that this dictionary writes under.
    #[must_use]
    pub fn replica_id(&self) -> ReplicaId {
        self.nodes.id(self.own)
    }

    /// Gives the id to take when the present one turns out to be in use elsewhere.
    pub fn set_spare_id(&mut self, id: ReplicaId) {
        self.spare = id;
    }

    /// The value of `key`.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value<'_>> {
        let record = self.records.find(key.as_bytes())?;
        Some(self.records.value(record)).filter(|value| value.is_live())
    }

    /// Whether `key` has a value.
    #[inline]
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.records.find(key.as_bytes()).is_some_and(|record| self.records.is_live(record))
    }

    /// The number of keys with a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.live()
    }

    /// Whether no key has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of all entries, tombstones included: equal for equal data, whatever its history.
    #[must_use]
    pub fn digest(&self) -> [u8; 16] {
        digest_bytes(self.records.digest)
    }

    /// The number that the next arrival gets.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.records.head()
    }

    /// The stamp of the entry of `key`, value or tombstone, else of the greatest prefix tombstone over it.
    #[must_use]
    pub fn stamp_of(&self, key: &str) -> Option<Stamp> {
        let key = key.as_bytes();
        match self.records.find(key) {
            Some(record) => Some(self.records.stamp(record, &self.nodes)),
            None => {
                self.prefixes.over(key).map(|record| self.records.stamp(record, &self.nodes)).max()
            }
        }
    }

    /// Writes keys and values of a range into `out` as columns.
    ///
    /// The first call sorts all keys; later ones only what is new.
    pub fn scan(&mut self, range: &Range<'_>, out: &mut Vec<u8>) {
        self.order.prepare(&self.records);
        let prefix = range.prefix.as_bytes();
        let from = range.from.unwrap_or("").as_bytes().max(prefix);
        let after = after_prefix(prefix);
        let to = [range.to.map(str::as_bytes), after.as_deref()].into_iter().flatten().min();
        let mut columns = Columns::default();
        let mut left = range.limit;
        let mut cursor = self.order.range(from, to, &self.records);
        while left > 0
            && let Some(record) = if range.reverse { cursor.next_back() } else { cursor.next() }
        {
            if self.records.is_live(record) {
                columns.push(self.records.key(record), self.records.value(record));
                left -= 1;
            }
        }
        columns.write_values(out);
    }

    /// Writes `value` under the next stamp of the clock; always wins.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`]; [`ErrorKind::InvalidValue`] for more than 1 MiB.
    #[inline]
    pub fn set(&mut self, key: &str, value: Value<'_>, now: u64) -> Result<Written> {
        let key = check_key(key)?;
        check_value(value)?;
        let hash = self.records.hash(key);
        let held = self.records.find_hashed(key, hash);
        Ok(self.write_now(key, hash, held, value, now))
    }

    /// Writes a tombstone where `key` has a value; else answers `won: false` and changes nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`].
    pub fn delete(&mut self, key: &str, now: u64) -> Result<Written> {
        let key = check_key(key)?;
        let hash = self.records.hash(key);
        match self.records.find_hashed(key, hash) {
            Some(record) if self.records.is_live(record) => {
                Ok(self.write_now(key, hash, Some(record), Value::NONE, now))
            }
            _ => Ok(Written { won: false, clock_ahead: false }),
        }
    }

    /// Writes a value, or with none a tombstone where there is a value, under an explicit stamp.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidKey`]; [`ErrorKind::InvalidValue`]; [`ErrorKind::ClockDrift`] for a stamp beyond `now` and the drift limit; [`ErrorKind::BelowHorizon`] for
    /// one at or below the greatest collected stamp, as nobody can know any more whether the key was removed.
    pub fn write_at(
        &mut self,
        key: &str,
        value: Option<Value<'_>>,
        stamp: Stamp,
        now: u64,
    ) -> Result<Written> {
        let key = check_key(key)?;
        value.map_or(Ok(()), check_value)?;
        if millis_of(stamp.hlc) > self.limit(now) {
            return Err(Error::new(
                ErrorKind::ClockDrift,
                "the stamp lies further ahead than the drift limit",
            ));
        }
        if self.collected.is_some_and(|collected| stamp <= collected) {
            return Err(Error::new(
                ErrorKind::BelowHorizon,
                "the stamp is not after the greatest collected one",
            ));
        }
        let lost = Written { won: false, clock_ahead: false };
        let hash = self.records.hash(key);
        let held = self.records.find_hashed(key, hash);
        if value.is_none() && !held.is_some_and(|record| self.records.is_live(record)) {
            return Ok(lost);
        }
        let value = value.unwrap_or(Value::NONE);
        let beaten = held.is_some_and(|record| {
            (self.records.stamp(record, &self.nodes), self.records.value(record)) >= (stamp, value)
        });
        if beaten || self.prefixes.cover(key, stamp, &self.records, &self.nodes) {
            return Ok(lost);
        }
        self.clock = self.clock.max(stamp.hlc);
        let stamp_node = self.nodes.intern(stamp.replica);
        let dot = self.next_dot();
        let fields = Fields { value, hlc: stamp.hlc, stamp_node, dot, origin: None };
        self.put(key, hash, held, &fields);
        self.settled();
        Ok(Written { won: true, clock_ahead: self.is_ahead(now) })
    }

    /// Writes a prefix tombstone, and returns how many values it removed.
    ///
    /// It covers every entry below `prefix` that is not newer, from any replica, also those that arrive later. Costs the
    /// entries below the prefix once keys are in order, else a pass over everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPrefix`].
    pub fn delete_prefix(&mut self, prefix: &str, now: u64) -> Result<usize> {
        let prefix = prefix.as_bytes();
        if prefix.len() > KEY_BYTES_MAX || prefix.last().is_some_and(|&last| last != b'/') {
            return Err(Error::new(
                ErrorKind::InvalidPrefix,
                "a prefix is empty or ends in a slash, and has at most 1,024 bytes",
            ));
        }
        self.clock = tick(self.clock, now);
        let dot = self.next_dot();
        let fields = Fields {
            value: Value { tag: PREFIX, payload: &[] },
            hlc: self.clock,
            stamp_node: self.own,
            dot,
            origin: None,
        };
        let live = self.len();
        self.put_prefix_over(prefix, &fields);
        self.settled();
        Ok(live - self.len())
    }

    /// Starts a transaction: what is written until [`Self::commit`] is undone by [`Self::rollback`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`] when one is open already.
    pub fn begin(&mut self) -> Result<()> {
        self.no_transaction()?;
        self.transaction = Some(Transaction {
            steps: Vec::new(),
            clock: self.clock,
            counter: self.seen.greatest(self.own),
            had_order: self.order.is_built(),
        });
        self.records.keep_former = true;
        Ok(())
    }

    /// Ends the transaction; its writes stay.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`] when none is open.
    pub fn commit(&mut self) -> Result<()> {
        self.end_transaction()?;
        self.settled();
        Ok(())
    }

    /// Ends the transaction; everything is as before it, the clock and the version included.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TransactionOpen`] when none is open.
    pub fn rollback(&mut self) -> Result<()> {
        let transaction = self.end_transaction()?;
        for step in transaction.steps.into_iter().rev() {
            match step {
                Step::Inserted(record) => {
                    if self.records.is_prefix(record) {
                        self.prefixes.remove(self.records.key(record));
                    } else {
                        self.order.dropped(1);
                    }
                    self.records.take_back(record, &self.nodes);
                }
                Step::Overwrote(record, former) | Step::Dropped(record, former) => {
                    if self.records.is_dropped(record) && self.records.is_prefix(record) {
                        self.prefixes.insert(self.records.key(record), record);
                    }
                    self.records.put_back(record, &former, &self.nodes);
                }
            }
        }
        if !transaction.had_order {
            // One made meanwhile lacks what was dropped before.
            self.order = Order::default();
        }
        self.clock = transaction.clock;
        self.seen.forget_above(self.own, transaction.counter);
        Ok(())
    }

    fn end_transaction(&mut self) -> Result<Transaction> {
        let none = Error::new(ErrorKind::TransactionOpen, "no transaction is open");
        let transaction = self.transaction.take().ok_or(none)?;
        self.records.keep_former = false;
        Ok(transaction)
    }

    pub(crate) fn no_transaction(&self) -> Result<()> {
        match self.transaction {
            None => Ok(()),
            Some(_) => {
                Err(Error::new(ErrorKind::TransactionOpen, "a transaction is open; end it first"))
            }
        }
    }

    /// Slots of the table that were looked at since the dictionary was made.
    #[cfg(feature = "test-hooks")]
    #[must_use]
    pub fn probes(&self) -> u64 {
        self.records.probes()
    }

    // What all writes are made of.

    fn write_now(
        &mut self,
        key: &[u8],
        hash: u32,
        held: Option<Record>,
        value: Value<'_>,
        now: u64,
    ) -> Written {
        self.clock = tick(self.clock, now);
        let dot = self.next_dot();
        let fields = Fields { value, hlc: self.clock, stamp_node: self.own, dot, origin: None };
        self.put(key, hash, held, &fields);
        self.settled();
        Written { won: true, clock_ahead: self.is_ahead(now) }
    }

    /// The latest stamp that is not refused, in milliseconds.
    pub(crate) fn limit(&self, now: u64) -> u64 {
        now.saturating_add(self.drift_max)
    }

    pub(crate) fn is_ahead(&self, now: u64) -> bool {
        millis_of(self.clock) > self.limit(now)
    }

    /// The next dot of the replica's own, entered into the version.
    pub(crate) fn next_dot(&mut self) -> NodeDot {
        let counter = self.seen.greatest(self.own) + 1;
        self.seen.add_own(self.own, counter);
        NodeDot { node: self.own, counter }
    }

    /// Puts an entry in place of the one `held`.
    pub(crate) fn put(&mut self, key: &[u8], hash: u32, held: Option<Record>, fields: &Fields<'_>) {
        if let Some(record) = held {
            if let Some(transaction) = &mut self.transaction {
                transaction.steps.push(Step::Overwrote(record, self.records.former(record)));
            }
            self.records.overwrite(record, fields, &self.nodes);
        } else {
            let record = self.records.insert(key, hash, fields, &self.nodes);
            self.order.inserted(record);
            if let Some(transaction) = &mut self.transaction {
                transaction.steps.push(Step::Inserted(record));
            }
        }
    }

    /// Puts a prefix tombstone in place of the one of its prefix, and drops the prefix tombstones that it covers.
    pub(crate) fn put_prefix(&mut self, prefix: &[u8], fields: &Fields<'_>) {
        let stamp = Stamp { hlc: fields.hlc, replica: self.nodes.id(fields.stamp_node) };
        for record in self.prefixes.covered_by(prefix, stamp, &self.records, &self.nodes) {
            self.drop_record(record);
        }
        if let Some(record) = self.prefixes.get(prefix) {
            self.put(prefix, 0, Some(record), fields);
        } else {
            let record = self.records.insert(prefix, 0, fields, &self.nodes);
            self.prefixes.insert(prefix, record);
            if let Some(transaction) = &mut self.transaction {
                transaction.steps.push(Step::Inserted(record));
            }
        }
    }

    /// Puts a prefix tombstone as [`Self::put_prefix`], and drops the entries that it covers, whatever the others held do.
    pub(crate) fn put_prefix_over(&mut self, prefix: &[u8], fields: &Fields<'_>) {
        self.put_prefix(prefix, fields);
        let stamp = Stamp { hlc: fields.hlc, replica: self.nodes.id(fields.stamp_node) };
        let covered = self.below(&[prefix.into()], |dictionary, record| {
            let Self { records, nodes, .. } = dictionary;
            records.hlc(record) <= stamp.hlc
                && records.stamp(record, nodes) <= stamp
                && records.key(record).starts_with(prefix)
        });
        for record in covered {
            self.drop_record(record);
        }
    }

    pub(crate) fn drop_record(&mut self, record: Record) {
        if let Some(transaction) = &mut self.transaction {
            transaction.steps.push(Step::Dropped(record, self.records.former(record)));
        }
        if self.records.is_prefix(record) {
            self.prefixes.remove(self.records.key(record));
        } else {
            self.order.dropped(1);
        }
        self.records.drop_entry(record, &self.nodes);
    }

    /// Drops the entries below `prefixes` that are covered now; `tell`: in order of their keys, into the patch.
    pub(crate) fn sweep(&mut self, prefixes: &[Box<[u8]>], tell: bool) {
        let mut dropped = self.below(prefixes, |dictionary, record| {
            let Self { records, nodes, .. } = dictionary;
            let stamp = records.stamp(record, nodes);
            dictionary.prefixes.cover(records.key(record), stamp, records, nodes)
        });
        if prefixes.len() > 1 {
            crate::order::sort(&mut dropped, &self.records);
            dropped.dedup();
        }
        if tell && !self.watched.is_empty() {
            if prefixes.len() == 1 {
                crate::order::sort(&mut dropped, &self.records);
            }
            for &record in &dropped {
                let key = self.records.key(record);
                if is_watched(&self.watched, key) && self.records.is_live(record) {
                    self.patch.push_change(key, self.records.value(record), Value::NONE);
                }
            }
        }
        for record in dropped {
            self.drop_record(record);
        }
    }

    /// The entries below `prefixes` that are `covered`, those below several of them maybe several times, and maybe others that are.
    pub(crate) fn below(
        &mut self,
        prefixes: &[Box<[u8]>],
        covered: impl Fn(&Self, Record) -> bool,
    ) -> Vec<Record> {
        const RANGES_MAX: usize = 8;
        const SWEEPS_MAX: u32 = 16;
        self.sweeps += u32::from(!self.order.is_built());
        if prefixes.len() <= RANGES_MAX && (self.order.is_built() || self.sweeps > SWEEPS_MAX) {
            self.order.prepare(&self.records);
            let below = |prefix: &[u8]| {
                let after = after_prefix(prefix);
                self.order
                    .range(prefix, after.as_deref(), &self.records)
                    .filter(|&record| covered(self, record))
                    .collect::<Vec<_>>()
            };
            prefixes.iter().flat_map(|prefix| below(prefix)).collect()
        } else {
            self.records
                .arrivals()
                .filter(|&record| !self.records.is_prefix(record) && covered(self, record))
                .collect()
        }
    }

    /// Ends a public call that wrote: packs what is worth it, unless a transaction may need it.
    pub(crate) fn settled(&mut self) {
        if self.transaction.is_some() {
            return;
        }
        if let Some(moved) = self.records.pack() {
            self.prefixes.moved(&moved);
            self.order.moved(&moved);
        }
    }

    pub(crate) fn dot(&self, dot: NodeDot) -> Dot {
        Dot { replica: self.nodes.id(dot.node), counter: dot.counter }
    }
}

/// The digest as bytes: lane after lane, each high byte first.
pub(crate) fn digest_bytes(lanes: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (four, lane) in bytes.chunks_exact_mut(4).zip(lanes) {
        four.copy_from_slice(&lane.to_be_bytes());
    }
    bytes
}

/// The first key that does not begin with `prefix` any more; none for the empty one.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut after = prefix.to_vec();
    // UTF-8 has no byte 255: the last byte can always be raised.
    *after.last_mut()? += 1;
    Some(after)
}

/// Whether `key` begins with one of the prefixes that patches are for.
pub(crate) fn is_watched(watched: &[Box<[u8]>], key: &[u8]) -> bool {
    watched.iter().any(|prefix| key.starts_with(prefix))
}

/// The bytes of a value are taken to be canonical: [`Value::from_canonical`] sees to that.
#[inline]
fn check_value(value: Value<'_>) -> Result<()> {
    if value.is_live() && value.payload.len() < VALUE_BYTES_MAX {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidValue, "a value has at most 1 MiB, and is no tombstone"))
    }
}

fn check_key(key: &str) -> Result<&[u8]> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        Ok(key.as_bytes())
    } else {
        Err(Error::new(ErrorKind::InvalidKey, "a key has 1 to 1,024 bytes of UTF-8"))
    }
}
