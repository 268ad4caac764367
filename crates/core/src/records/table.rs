//! The table: an open-addressing one, whose slots hold the hash beside the record, so that others are rarely looked at.

use super::{Record, high_half, low_half};
use crate::prefetch::prefetch;

const EMPTY: u64 = 0;
const SLOTS_MIN: usize = 16;
/// With fewer slots the table is in the cache, and asking ahead only costs.
const SLOTS_IN_CACHE: usize = 1 << 15;

#[derive(Debug)]
pub(super) struct Table {
    /// Hash << 32 | record; the home of a hash is hash >> shift.
    slots: Vec<u64>,
    shift: u32,
    used: usize,
    #[cfg(feature = "test-hooks")]
    pub probes: core::cell::Cell<u64>,
}

impl Table {
    pub fn new() -> Self {
        Self {
            slots: vec![EMPTY; SLOTS_MIN],
            shift: 32 - SLOTS_MIN.trailing_zeros(),
            used: 0,
            #[cfg(feature = "test-hooks")]
            probes: core::cell::Cell::new(0),
        }
    }

    /// Makes room for so many more records.
    pub fn reserve(&mut self, records: usize) {
        let wanted = (self.used + records).saturating_mul(4) / 3 + 1;
        if wanted > self.slots.len() {
            self.grow(wanted.next_power_of_two());
        }
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize >> self.shift
    }

    /// The record of this hash that `is_it`.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(Record) -> bool) -> Option<Record> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(hash);
        loop {
            #[cfg(feature = "test-hooks")]
            self.probes.set(self.probes.get() + 1);
            let slot = self.slots[at & mask];
            if slot == EMPTY {
                return None;
            }
            if high_half(slot) == hash {
                let record = low_half(slot);
                if is_it(record) {
                    return Some(record);
                }
            }
            at += 1;
        }
    }

    /// Whether it is worth asking memory before looking.
    #[inline]
    pub fn is_beyond_cache(&self) -> bool {
        self.slots.len() >= SLOTS_IN_CACHE
    }

    /// Asks memory for the slot where a search begins.
    #[inline]
    pub fn ask(&self, hash: u32) {
        prefetch(&self.slots[self.home(hash)]);
    }

    /// The record that a search meets first.
    #[inline]
    pub fn first(&self, hash: u32) -> Record {
        low_half(self.slots[self.home(hash)])
    }

    /// Puts in a record whose key is not there.
    #[inline]
    pub fn put(&mut self, record: Record, hash: u32) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow(self.slots.len() * 2);
        }
        self.used += 1;
        self.fill(u64::from(hash) << 32 | u64::from(record));
    }

    #[inline]
    fn fill(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(high_half(slot));
        while self.slots[at & mask] != EMPTY {
            at += 1;
        }
        self.slots[at & mask] = slot;
    }

    /// Takes out a record that is there.
    pub fn take(&mut self, record: Record, hash: u32) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(hash);
        while low_half(self.slots[at]) != record {
            at = (at + 1) & mask;
        }
        // Later slots of the run move up, unless that would put them before their own place.
        let mut next = at;
        loop {
            next = (next + 1) & mask;
            let slot = self.slots[next];
            if slot == EMPTY {
                break;
            }
            let home = self.home(high_half(slot));
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(at) & mask) {
                self.slots[at] = slot;
                at = next;
            }
        }
        self.slots[at] = EMPTY;
        self.used -= 1;
    }

    /// Makes the table longer. Slots hold their hashes, so that no record is looked at.
    fn grow(&mut self, length: usize) {
        let slots = core::mem::replace(&mut self.slots, vec![EMPTY; length]);
        self.shift = 32 - length.trailing_zeros();
        for slot in slots {
            if slot != EMPTY {
                self.fill(slot);
            }
        }
    }

    /// Follows records that were moved.
    pub fn moved(&mut self, to: impl Fn(Record) -> Record) {
        for slot in self.slots.iter_mut().filter(|slot| **slot != EMPTY) {
            *slot = *slot >> 32 << 32 | u64::from(to(low_half(*slot)));
        }
    }
}
