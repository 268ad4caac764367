//! What has been seen: a closed vector and the exceptions beyond it.

use std::collections::BTreeMap;

use crate::error::{Read, corrupt};
use crate::stamp::{COUNTER_MAX, ReplicaId};
use crate::wire::{Reader, put_varint, put_varint_before};

/// Replicas under small numbers, in order of first use. A number is good for one dictionary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes {
    ids: Vec<ReplicaId>,
    numbers: BTreeMap<ReplicaId, u32>,
}

impl Nodes {
    pub fn id(&self, node: u32) -> ReplicaId {
        self.ids[node as usize]
    }

    pub fn find(&self, id: ReplicaId) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// The numbers of `ids`, which ascend, where there are any. Costs one pass over both.
    pub fn find_sorted(&self, ids: &[[u8; 16]]) -> Vec<Option<u32>> {
        let mut known = self.numbers.iter().peekable();
        let find = |id: &[u8; 16]| {
            while known.next_if(|(known, _)| known.0 < *id).is_some() {}
            known.next_if(|(known, _)| known.0 == *id).map(|(_, &node)| node)
        };
        ids.iter().map(find).collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "memory holds fewer than 2^24 replicas of 16 bytes and more"
    )]
    pub fn intern(&mut self, id: ReplicaId) -> u32 {
        *self.numbers.entry(id).or_insert_with(|| {
            self.ids.push(id);
            assert!(self.ids.len() <= 1 << 24, "a dictionary names at most 2^24 replicas");
            self.ids.len() as u32 - 1
        })
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// All numbers, in the order of their ids.
    pub fn sorted(&self) -> impl Iterator<Item = u32> + Clone {
        self.numbers.values().copied()
    }
}

/// Runs of counters, first and last included, ascending; they never touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs(Vec<(u64, u64)>);

impl Runs {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn last(&self) -> Option<u64> {
        self.0.last().map(|&(_, last)| last)
    }

    /// Whether every counter from `first` to `last` is in.
    pub fn holds(&self, first: u64, last: u64) -> bool {
        let at = self.0.partition_point(|&(_, end)| end < first);
        self.0.get(at).is_some_and(|&(start, end)| start <= first && last <= end)
    }

    pub fn add(&mut self, mut first: u64, mut last: u64) {
        if let Some(run) = self.0.last_mut()
            && run.0 <= first
            && first <= run.1 + 1
        {
            run.1 = run.1.max(last);
            return;
        }
        let from = self.0.partition_point(|&(_, end)| end + 1 < first);
        let to = from + self.0[from..].partition_point(|&(start, _)| start <= last + 1);
        if let [(start, _), ..] = self.0[from..to] {
            first = first.min(start);
        }
        if let [.., (_, end)] = self.0[from..to] {
            last = last.max(end);
        }
        self.0.splice(from..to, [(first, last)]);
    }

    /// Drops all counters up to `counter`.
    pub fn drop_through(&mut self, counter: u64) {
        let keep = self.0.partition_point(|&(_, end)| end <= counter);
        self.0.drain(..keep);
        if let Some(run) = self.0.first_mut() {
            run.0 = run.0.max(counter + 1);
        }
    }

    /// Drops all counters above `counter`.
    pub fn drop_above(&mut self, counter: u64) {
        self.0.truncate(self.0.partition_point(|&(start, _)| start <= counter));
        if let Some(run) = self.0.last_mut() {
            run.1 = run.1.min(counter);
        }
    }
}

/// A counter for each node; 0 where there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeVector(Vec<u64>);

impl NodeVector {
    #[inline]
    pub fn get(&self, node: u32) -> u64 {
        self.0.get(node as usize).copied().unwrap_or(0)
    }

    /// Raises the counter of a node; answers whether it was lower.
    pub fn raise(&mut self, node: u32, counter: u64) -> bool {
        let raises = counter > self.get(node);
        if raises {
            let at = node as usize;
            if at >= self.0.len() {
                self.0.resize(at + 1, 0);
            }
            self.0[at] = counter;
        }
        raises
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Becomes the same as `other`, in the memory that it has.
    pub fn copy(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }

    /// Calls back with the nodes whose counters differ, ascending.
    pub fn differences(&self, other: &Self, mut take: impl FnMut(u32)) {
        let both = self.0.len().min(other.0.len());
        // Most vectors are equal almost everywhere.
        if self.0[..both] != other.0[..both] {
            for (node, (a, b)) in (0..).zip(self.0.iter().zip(&other.0)) {
                if a != b {
                    take(node);
                }
            }
        }
        let longer = if self.0.len() > both { self } else { other };
        longer.iter().filter(|&(node, _)| node as usize >= both).for_each(|(node, _)| take(node));
    }

    /// The nodes that have a counter, with it.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.0.iter().copied()).filter(|&(_, counter)| counter > 0)
    }
}

/// The version of a dictionary: V and X, by node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    vector: NodeVector,
    exceptions: Vec<Runs>,
    /// How many nodes have exceptions.
    excepted: usize,
}

impl Seen {
    #[inline]
    pub fn vector(&self, node: u32) -> u64 {
        self.vector.get(node)
    }

    pub fn exceptions(&self, node: u32) -> Option<&Runs> {
        self.exceptions.get(node as usize).filter(|runs| !runs.is_empty())
    }

    pub fn has_exceptions(&self) -> bool {
        self.excepted > 0
    }

    /// Whether any dot of `node` was seen.
    pub fn names(&self, node: u32) -> bool {
        self.vector(node) > 0 || self.exceptions(node).is_some()
    }

    /// The greatest counter seen of `node`.
    pub fn greatest(&self, node: u32) -> u64 {
        self.exceptions(node).and_then(Runs::last).unwrap_or_else(|| self.vector(node))
    }

    /// Becomes the same as `other`, in the memory that it has.
    pub fn copy(&mut self, other: &Self) {
        self.vector.copy(&other.vector);
        if self.excepted == 0 && other.excepted == 0 {
            return;
        }
        self.exceptions.resize_with(other.exceptions.len(), Runs::default);
        for (runs, others) in self.exceptions.iter_mut().zip(&other.exceptions) {
            if runs != others {
                runs.0.clone_from(&others.0);
            }
        }
        self.excepted = other.excepted;
    }

    /// The nodes whose closed counters are others than in `other`, and those whose exceptions are; both ascending.
    pub fn differences(&self, other: &Self) -> (Vec<u32>, Vec<u32>) {
        let (mut closed, mut excepted) = (Vec::new(), Vec::new());
        self.vector.differences(&other.vector, |node| closed.push(node));
        if self.excepted > 0 || other.excepted > 0 {
            let longest = self.exceptions.len().max(other.exceptions.len());
            let nodes = (0..).take(longest);
            excepted.extend(nodes.filter(|&node| self.exceptions(node) != other.exceptions(node)));
        }
        (closed, excepted)
    }

    /// The greatest counter up to which everything of `node` was seen.
    pub fn contiguous(&self, node: u32) -> u64 {
        let closed = self.vector(node);
        match self.exceptions(node).and_then(|runs| runs.iter().next()) {
            Some((first, last)) if first == closed + 1 => last,
            _ => closed,
        }
    }

    #[inline]
    pub fn has(&self, node: u32, counter: u64) -> bool {
        counter <= self.vector(node)
            || self.exceptions(node).is_some_and(|runs| runs.holds(counter, counter))
    }

    /// Whether all counters from `first` to `last` of `node` were seen.
    pub fn has_run(&self, node: u32, first: u64, last: u64) -> bool {
        let closed = self.vector(node);
        last <= closed
            || self.exceptions(node).is_some_and(|runs| runs.holds(first.max(closed + 1), last))
    }

    /// Adds dots to the exceptions, as far as the vector does not have them.
    pub fn except(&mut self, node: u32, first: u64, last: u64) {
        let first = first.max(self.vector(node) + 1);
        if first > last {
            return;
        }
        let at = node as usize;
        if at >= self.exceptions.len() {
            self.exceptions.resize_with(at + 1, Runs::default);
        }
        self.excepted += usize::from(self.exceptions[at].is_empty());
        self.exceptions[at].add(first, last);
    }

    /// Raises the vector.
    pub fn raise(&mut self, node: u32, counter: u64) {
        if self.vector.raise(node, counter) {
            self.trim(node, |runs| runs.drop_through(counter));
        }
    }

    /// Adds a dot of the replica's own. [`Self::settle`] follows every other change.
    pub fn add_own(&mut self, own: u32, counter: u64) {
        if self.has_exceptions() {
            self.except(own, counter, counter);
        } else {
            self.raise(own, counter);
        }
    }

    /// Own dots join the vector when there are no other exceptions.
    pub fn settle(&mut self, own: u32) {
        if self.excepted == 1
            && let Some(last) = self.exceptions(own).and_then(Runs::last)
        {
            self.raise(own, last);
        }
    }

    /// Takes back the own dots above `counter`.
    pub fn forget_above(&mut self, own: u32, counter: u64) {
        if let Some(closed) = self.vector.0.get_mut(own as usize) {
            *closed = (*closed).min(counter);
        }
        self.trim(own, |runs| runs.drop_above(counter));
    }

    fn trim(&mut self, node: u32, trim: impl FnOnce(&mut Runs)) {
        if let Some(runs) = self.exceptions.get_mut(node as usize).filter(|runs| !runs.is_empty()) {
            trim(runs);
            self.excepted -= usize::from(runs.is_empty());
        }
    }
}

/// A vector inside a frame: pairs of (index of the replica, counter), checked when it was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct VectorBytes<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> VectorBytes<'a> {
    pub fn read(reader: &mut Reader<'a>, replicas: usize) -> Read<Self> {
        let count = reader.length()?;
        let start = reader.rest;
        let mut next = 0;
        for _ in 0..count {
            next = writer(reader, next, replicas)? + 1;
            counter(reader)?;
        }
        Ok(Self { count, bytes: &start[..start.len() - reader.rest.len()] })
    }

    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    pub fn iter(self) -> impl Iterator<Item = (usize, u64)> + Clone + 'a {
        let mut reader = Reader::new(self.bytes);
        let mut next = 0;
        (0..self.count).map(move |_| {
            let writer = next + checked(reader.length_free());
            next = writer + 1;
            (writer, checked(reader.varint()))
        })
    }
}

/// Runs inside a frame, checked when they were read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunsBytes<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> RunsBytes<'a> {
    /// Reads runs that lie beyond `vector`.
    pub fn read(reader: &mut Reader<'a>, replicas: usize, vector: VectorBytes<'_>) -> Read<Self> {
        let count = reader.length()?;
        let start = reader.rest;
        let mut closed = vector.iter().peekable();
        let mut next = 0;
        for _ in 0..count {
            let index = writer(reader, next, replicas)?;
            next = index + 1;
            while closed.next_if(|&(writer, _)| writer < index).is_some() {}
            let closed =
                closed.next_if(|&(writer, _)| writer == index).map_or(0, |(_, counter)| counter);
            let runs = reader.length()?;
            if runs == 0 {
                return Err(corrupt!("a writer has no runs"));
            }
            let mut first = 1;
            for _ in 0..runs {
                first += reader.varint()?;
                let last = first + reader.varint()?;
                if first <= closed || last > COUNTER_MAX {
                    return Err(corrupt!("a run is out of range"));
                }
                first = last + 2;
            }
        }
        Ok(Self { count, bytes: &start[..start.len() - reader.rest.len()] })
    }

    pub fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Calls back with (index of the replica, first, last) of each run, until it answers false.
    pub fn all(self, mut take: impl FnMut(usize, u64, u64) -> bool) -> bool {
        let mut reader = Reader::new(self.bytes);
        let mut next = 0;
        for _ in 0..self.count {
            let writer = next + checked(reader.length_free());
            next = writer + 1;
            let mut first = 1;
            for _ in 0..checked(reader.varint()) {
                first += checked(reader.varint());
                let last = first + checked(reader.varint());
                if !take(writer, first, last) {
                    return false;
                }
                first = last + 2;
            }
        }
        true
    }

    pub fn for_each(self, mut take: impl FnMut(usize, u64, u64)) {
        self.all(|writer, first, last| {
            take(writer, first, last);
            true
        });
    }
}

impl Reader<'_> {
    /// A varint that is an index, not a length of what follows.
    pub fn length_free(&mut self) -> Read<usize> {
        self.varint()
            .and_then(|value| usize::try_from(value).map_err(|_| corrupt!("an index is too great")))
    }
}

/// What was read once before without an error.
pub(crate) fn checked<T>(result: Read<T>) -> T {
    // Not `expect`, which would bring the words for errors along.
    result.unwrap_or_else(|_| unreachable!("was read once before"))
}

fn writer(reader: &mut Reader<'_>, next: usize, replicas: usize) -> Read<usize> {
    let index = next.saturating_add(reader.length_free()?);
    if index < replicas { Ok(index) } else { Err(corrupt!("a replica is not in the table")) }
}

/// A counter of a dot.
pub(crate) fn counter(reader: &mut Reader<'_>) -> Read<u64> {
    let counter = reader.varint()?;
    if (1..=COUNTER_MAX).contains(&counter) {
        Ok(counter)
    } else {
        Err(corrupt!("a counter is out of range"))
    }
}

/// Writes a vector whose writers ascend, and answers how many those are.
pub(crate) fn put_vector(out: &mut Vec<u8>, vector: &mut dyn Iterator<Item = (u32, u64)>) -> usize {
    let start = out.len();
    let (mut count, mut next) = (0, 0);
    for (index, counter) in vector {
        put_varint(out, u64::from(index - next));
        put_varint(out, counter);
        next = index + 1;
        count += 1;
    }
    put_varint_before(out, start, count as u64);
    count
}

/// Writes runs whose writers ascend.
pub(crate) fn put_runs(out: &mut Vec<u8>, all_runs: &mut dyn Iterator<Item = (u32, &Runs)>) {
    let start = out.len();
    let (mut count, mut next) = (0, 0);
    for (index, runs) in all_runs {
        count += 1;
        put_varint(out, u64::from(index - next));
        put_varint(out, runs.iter().len() as u64);
        next = index + 1;
        let mut first = 1;
        for (from, to) in runs.iter() {
            put_varint(out, from - first);
            put_varint(out, to - from);
            first = to + 2;
        }
    }
    put_varint_before(out, start, count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_what_touches() {
        let mut runs = Runs::default();
        for (first, last) in [(5, 6), (1, 1), (9, 9), (3, 3), (2, 2), (7, 8), (20, 30), (12, 25)] {
            runs.add(first, last);
        }
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(1, 3), (5, 9), (12, 30)]);
        assert!(runs.holds(5, 9) && !runs.holds(3, 5) && !runs.holds(4, 4));
        runs.drop_through(6);
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(7, 9), (12, 30)]);
        runs.drop_above(13);
        assert_eq!(runs.iter().collect::<Vec<_>>(), [(7, 9), (12, 13)]);
        runs.drop_above(10);
        assert_eq!(runs.last(), Some(9));
    }

    #[test]
    fn own_dots_wait_for_foreign_exceptions() {
        let mut seen = Seen::default();
        seen.except(1, 2, 2);
        seen.add_own(0, 1);
        seen.settle(0);
        assert_eq!((seen.vector(0), seen.greatest(0), seen.contiguous(0)), (0, 1, 1));
        seen.raise(1, 2);
        seen.settle(0);
        assert_eq!((seen.vector(0), seen.has_exceptions()), (1, false));
        assert!(seen.has_run(1, 1, 2) && !seen.has(1, 3));
    }
}
