//! Prefix tombstones, by prefix.

use core::ops::Bound;
use std::collections::BTreeMap;

use crate::records::{Moved, Record, Records};
use crate::stamp::Stamp;
use crate::version::Nodes;

#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    records: BTreeMap<Box<[u8]>, Record>,
    /// How many prefixes there are of each length: only these are looked for.
    lengths: Vec<(usize, usize)>,
}

impl Prefixes {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn get(&self, prefix: &[u8]) -> Option<Record> {
        self.records.get(prefix).copied()
    }

    pub fn insert(&mut self, prefix: &[u8], record: Record) {
        self.records.insert(prefix.into(), record);
        match self.find_length(prefix.len()) {
            Ok(at) => self.lengths[at].1 += 1,
            Err(at) => self.lengths.insert(at, (prefix.len(), 1)),
        }
    }

    pub fn remove(&mut self, prefix: &[u8]) {
        self.records.remove(prefix);
        if let Ok(at) = self.find_length(prefix.len()) {
            self.lengths[at].1 -= 1;
            if self.lengths[at].1 == 0 {
                self.lengths.remove(at);
            }
        }
    }

    fn find_length(&self, length: usize) -> core::result::Result<usize, usize> {
        self.lengths.binary_search_by_key(&length, |&(length, _)| length)
    }

    pub fn moved(&mut self, moved: &Moved) {
        self.records.values_mut().for_each(|record| *record = moved.to(*record));
    }

    /// The prefix tombstones whose prefixes `key` begins with, shortest first.
    pub fn over(&self, key: &[u8]) -> impl Iterator<Item = Record> {
        self.lengths
            .iter()
            .take_while(|&&(length, _)| length <= key.len())
            .filter_map(|&(length, _)| self.get(&key[..length]))
    }

    /// Whether an entry of `key` and `stamp` is covered.
    pub fn cover(&self, key: &[u8], stamp: Stamp, records: &Records, nodes: &Nodes) -> bool {
        self.over(key).any(|record| stamp <= records.stamp(record, nodes))
    }

    /// Whether a prefix tombstone of `prefix` and `stamp` is covered by one of another prefix.
    pub fn cover_prefix(
        &self,
        prefix: &[u8],
        stamp: Stamp,
        records: &Records,
        nodes: &Nodes,
    ) -> bool {
        self.over(prefix).any(|record| {
            records.key(record).len() < prefix.len() && stamp <= records.stamp(record, nodes)
        })
    }

    /// The prefix tombstones of other prefixes below `prefix`, with stamps up to `stamp`.
    pub fn covered_by(
        &self,
        prefix: &[u8],
        stamp: Stamp,
        records: &Records,
        nodes: &Nodes,
    ) -> Vec<Record> {
        self.records
            .range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(other, _)| other.starts_with(prefix))
            .map(|(_, &record)| record)
            .filter(|&record| {
                records.key(record).len() > prefix.len() && records.stamp(record, nodes) <= stamp
            })
            .collect()
    }
}
