//! The log: records in order of arrival, and where in it the dots of each writer begin.

use super::{NodeDot, Record, usize_of};

/// Own counters between two marks of a writer.
const MARK_GAP: u64 = 64;

/// Where in the log the dots of a writer begin.
#[derive(Clone, Debug, Default)]
struct Marks {
    /// All dots of the writer from this counter on arrived at this place or later.
    list: Vec<(u64, u64)>,
    /// The greatest counter and where it arrived.
    top: (u64, u64),
}

#[derive(Debug)]
pub(super) struct Log {
    /// 0 where a place is empty.
    records: Vec<Record>,
    /// The place of the first of them.
    base: u64,
    marks: Vec<Marks>,
}

impl Log {
    /// An empty one, whose first place is `base`.
    pub fn new(base: u64) -> Self {
        Self { records: Vec::new(), base, marks: Vec::new() }
    }

    pub fn reserve(&mut self, records: usize) {
        self.records.reserve(records);
    }

    /// The place of the next arrival.
    #[inline]
    pub fn head(&self) -> u64 {
        self.base + self.records.len() as u64
    }

    /// Places, empty ones included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn base(&self) -> u64 {
        self.base
    }

    /// The place of the next arrival, from the first one on.
    #[inline]
    pub fn next(&self) -> u32 {
        u32::try_from(self.records.len()).expect("the log is packed long before 2^32 places")
    }

    /// The records in order of arrival.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = Record> {
        self.records.iter().copied().filter(|&record| record != 0)
    }

    /// Those that arrived at `place` or later, with their places.
    pub fn since(&self, place: u64) -> impl Iterator<Item = (u64, Record)> {
        let from = usize_of(place.saturating_sub(self.base)).min(self.records.len());
        (self.base + from as u64..)
            .zip(self.records[from..].iter().copied())
            .filter(|&(_, record)| record != 0)
    }

    /// Where to begin, to meet all dots of `node` above `counter`.
    pub fn first_place_above(&self, node: u32, counter: u64) -> Option<u64> {
        let marks = self.marks.get(node as usize)?;
        let (top, place) = marks.top;
        if top <= counter {
            None
        } else if top <= counter + 1 {
            Some(place)
        } else {
            let at = marks.list.partition_point(|&(from, _)| from <= counter + 1);
            marks.list.get(at.saturating_sub(1)).map(|&(_, place)| place)
        }
    }

    /// Enters a record, which has [`Self::next`] as its place.
    #[inline]
    pub fn push(&mut self, record: Record, dot: NodeDot) {
        let head = self.head();
        self.records.push(record);
        let node = dot.node as usize;
        if node >= self.marks.len() {
            self.marks.resize_with(node + 1, Marks::default);
        }
        let marks = &mut self.marks[node];
        if dot.counter > marks.top.0 {
            marks.top = (dot.counter, head);
            if marks.list.last().is_none_or(|&(from, _)| from + MARK_GAP <= dot.counter) {
                marks.list.push((dot.counter, head));
            }
        }
    }

    /// Takes back the last place.
    pub fn pop(&mut self) {
        self.records.pop();
    }

    /// Lets a place, counted from the first one, be that of a record, or of none.
    #[inline]
    pub fn put(&mut self, place: u32, record: Record) {
        self.records[place as usize] = record;
    }

    /// Takes back the places from `head` on.
    pub fn truncate(&mut self, head: u64) {
        self.records.truncate(usize_of(head - self.base));
        // Dots that stood there may arrive anew at places before those that they had.
        for Marks { list, top } in &mut self.marks {
            top.1 = top.1.min(head);
            for (_, place) in list {
                *place = (*place).min(head);
            }
        }
    }

    /// Moves the head up to `place`; the places between are empty.
    pub fn extend(&mut self, place: u64) {
        self.records.resize(usize_of(place - self.base), 0);
    }

    /// Empties the log, whose first place is `base` then, and answers what stood in it, in order.
    pub fn restart(&mut self, base: u64) -> Vec<Record> {
        self.base = base;
        self.marks.iter_mut().for_each(|marks| *marks = Marks::default());
        let mut records = core::mem::take(&mut self.records);
        records.retain(|&record| record != 0);
        records
    }

    /// Follows records that are moved, one by one.
    pub fn move_records(&mut self, mut to: impl FnMut(Record) -> Record) {
        for record in self.records.iter_mut().filter(|record| **record != 0) {
            *record = to(*record);
        }
    }
}
