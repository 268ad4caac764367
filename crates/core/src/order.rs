//! The order of keys, made when it is first asked for and kept from then on.

use core::cmp::Ordering;
use core::ops::Range as Span;

use crate::records::{Moved, Record, Records};
use crate::sort;

/// New keys wait unsorted until somebody asks; more than these are merged into the rest.
const TAIL_MAX: usize = 1_024;

/// Records of keys, also of dropped ones, by key.
#[derive(Debug, Default)]
pub(crate) struct Order {
    built: bool,
    sorted: Vec<Record>,
    tail: Vec<Record>,
    tail_is_sorted: bool,
    dropped: usize,
}

impl Order {
    pub fn is_built(&self) -> bool {
        self.built
    }

    pub fn inserted(&mut self, record: Record) {
        if self.built {
            self.tail.push(record);
            self.tail_is_sorted = false;
        }
    }

    pub fn dropped(&mut self, count: usize) {
        self.dropped += count;
    }

    pub fn moved(&mut self, moved: &Moved) {
        for list in [&mut self.sorted, &mut self.tail] {
            list.retain(|&record| moved.was_held(record));
            for record in list {
                *record = moved.to(*record);
            }
        }
        self.dropped = 0;
    }

    /// Sorts what is not sorted yet.
    pub fn prepare(&mut self, records: &Records) {
        if !self.built {
            self.built = true;
            self.sorted = records.arrivals().filter(|&record| !records.is_prefix(record)).collect();
            sort(&mut self.sorted, records);
            return;
        }
        // What a transaction dropped may come back.
        if self.dropped > TAIL_MAX && self.dropped * 2 > self.sorted.len() && !records.keep_former {
            self.sorted.retain(|&record| !records.is_dropped(record));
            self.tail.retain(|&record| !records.is_dropped(record));
            self.dropped = 0;
        }
        if !self.tail_is_sorted {
            sort(&mut self.tail, records);
            self.tail_is_sorted = true;
        }
        if self.tail.len() > TAIL_MAX {
            self.merge_tail(records);
        }
    }

    fn merge_tail(&mut self, records: &Records) {
        let (mut left, mut right) = (self.sorted.len(), self.tail.len());
        self.sorted.resize(left + right, 0);
        // From the back: what is sorted moves up only as far as new keys stand below it.
        while right > 0 {
            let key = records.key(self.tail[right - 1]);
            let from = self.sorted[..left].partition_point(|&record| records.key(record) < key);
            self.sorted.copy_within(from..left, from + right);
            self.sorted[from + right - 1] = self.tail[right - 1];
            left = from;
            right -= 1;
        }
        self.tail.clear();
    }

    /// The records of keys within `from` and `to`, in order. [`Self::prepare`] comes first.
    pub fn range<'a>(&'a self, from: &[u8], to: Option<&[u8]>, records: &'a Records) -> Cursor<'a> {
        let span = |list: &[Record]| {
            let start = list.partition_point(|&record| records.key(record) < from);
            let end = to
                .map_or(list.len(), |to| list.partition_point(|&record| records.key(record) < to));
            start..end.max(start)
        };
        Cursor { order: self, records, sorted: span(&self.sorted), tail: span(&self.tail) }
    }
}

/// A walk over both lists, from either end. Dropped records are passed over.
pub(crate) struct Cursor<'a> {
    order: &'a Order,
    records: &'a Records,
    sorted: Span<usize>,
    tail: Span<usize>,
}

impl Cursor<'_> {
    fn pick(&mut self, back: bool) -> Option<Record> {
        let at = |span: &Span<usize>| if back { span.end - 1 } else { span.start };
        let a = (!self.sorted.is_empty()).then(|| self.order.sorted[at(&self.sorted)]);
        let b = (!self.tail.is_empty()).then(|| self.order.tail[at(&self.tail)]);
        let (record, span) = match (a, b) {
            (Some(a), Some(b)) if (self.records.key(a) < self.records.key(b)) == back => {
                (b, &mut self.tail)
            }
            (Some(a), _) => (a, &mut self.sorted),
            (None, Some(b)) => (b, &mut self.tail),
            (None, None) => return None,
        };
        if back {
            span.end -= 1;
        } else {
            span.start += 1;
        }
        Some(record)
    }
}

impl Iterator for Cursor<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let record = self.pick(false)?;
            if !self.records.is_dropped(record) {
                return Some(record);
            }
        }
    }
}

impl DoubleEndedIterator for Cursor<'_> {
    fn next_back(&mut self) -> Option<Record> {
        loop {
            let record = self.pick(true)?;
            if !self.records.is_dropped(record) {
                return Some(record);
            }
        }
    }
}

/// Sorts records by key, of one key the prefix tombstone first.
///
/// Comparing eight bytes beyond the common prefix first saves most looks into the arena.
pub(crate) fn sort(list: &mut Vec<Record>, records: &Records) {
    let Some(&first) = list.first() else { return };
    let first = records.key(first);
    let shared = list.iter().fold(first.len(), |shared, &record| {
        first[..shared].iter().zip(records.key(record)).take_while(|(a, b)| a == b).count()
    });
    let mut heads: Vec<(u64, Record)> =
        list.iter().map(|&record| (sort::head(&records.key(record)[shared..]), record)).collect();
    sort::sort(&mut heads, &|left, right| snapshot_order(records, left, right));
    list.clear();
    list.extend(heads.into_iter().map(|(_, record)| record));
}

/// The order of a snapshot: keys by bytes, of one key the prefix tombstone first.
pub(crate) fn snapshot_order(records: &Records, left: Record, right: Record) -> Ordering {
    let rank = |record| (records.key(record), !records.is_prefix(record));
    rank(left).cmp(&rank(right))
}
