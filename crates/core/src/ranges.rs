//! Range exchange: fingerprints of ranges of key hashes, and entries by hash.

use core::cmp::Ordering;

use crate::dictionary::Dictionary;
use crate::error::{Error, ErrorKind, Result};
use crate::export::ExportOptions;
use crate::hash::siphash13;
use crate::order::snapshot_order;
use crate::records::{NodeDot, Record};
use crate::sort::{sort, sorted_places};

const DEPTH_MAX: u8 = 16;

impl Dictionary {
    /// Writes 16 × (u64 sum of identities, u32 count) into `out` for each of `ranges`: a byte of depth (0–15) and a u64 whose top 4 × depth bits count.
    ///
    /// Costs a hash of each entry and their sorting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for ranges of another form.
    pub fn fingerprints(
        &mut self,
        seed: &[u8; 16],
        ranges: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let ranges = read_ranges(ranges, DEPTH_MAX - 1)?;
        let index = self.hash_index(seed);
        out.clear();
        for (depth, from) in ranges {
            let mut children = [(0_u64, 0_u32); 16];
            for &(hash, record) in within(&index, depth, from) {
                let child = &mut children
                    [usize::try_from(hash << (4 * u32::from(depth)) >> 60).unwrap_or(0)];
                child.0 = child.0.wrapping_add(self.identity(seed, record));
                child.1 += 1;
            }
            for (sum, count) in children {
                out.extend_from_slice(&sum.to_le_bytes());
                out.extend_from_slice(&count.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Writes a u32 count, then (u64 key hash, u64 identity) in their order into `out` for each of `ranges`, of depth to 16.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for ranges of another form.
    pub fn hashes(&mut self, seed: &[u8; 16], ranges: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let ranges = read_ranges(ranges, DEPTH_MAX)?;
        let index = self.hash_index(seed);
        out.clear();
        for (depth, from) in ranges {
            let items: Vec<(u64, u64)> = within(&index, depth, from)
                .iter()
                .map(|&(hash, record)| (hash, self.identity(seed, record)))
                .collect();
            // Of one key hash by identity.
            let places =
                sorted_places(items.len(), &|a, b| items[a as usize].cmp(&items[b as usize]));
            let items: Vec<(u64, u64)> = places.map(|place| items[place]).collect();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "fewer than 2^32 entries are held"
            )]
            out.extend_from_slice(&(items.len() as u32).to_le_bytes());
            for (hash, identity) in items {
                out.extend_from_slice(&hash.to_le_bytes());
                out.extend_from_slice(&identity.to_le_bytes());
            }
        }
        Ok(())
    }

    /// Writes the entries of these key hashes (u64 each) into `out` as changes without `end`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for hashes of another form; [`ErrorKind::TransactionOpen`].
    pub fn entries_by_hash(
        &mut self,
        seed: &[u8; 16],
        hashes: &[u8],
        options: &ExportOptions,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.no_transaction()?;
        let (hashes, rest) = hashes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "hashes have 8 bytes each"));
        }
        let mut hashes: Vec<(u64, u32)> =
            hashes.iter().map(|hash| (u64::from_le_bytes(*hash), 0)).collect();
        sort(&mut hashes, &|_, _| Ordering::Equal);
        hashes.dedup();
        let index = self.hash_index(seed);
        let mut found: Vec<(u64, Record)> = hashes
            .into_iter()
            .flat_map(|(hash, _)| within(&index, DEPTH_MAX, hash).iter().copied())
            .collect();
        sort(&mut found, &|left, right| snapshot_order(&self.records, left, right));
        let records: Vec<Record> = found.into_iter().map(|(_, record)| record).collect();
        self.put_changes(&records, options, out);
        Ok(())
    }

    /// All records by key hash.
    fn hash_index(&self, seed: &[u8; 16]) -> Vec<(u64, Record)> {
        let hash = |record| {
            siphash13(
                seed,
                &[self.records.key(record), &[u8::from(self.records.is_prefix(record))]],
            )
        };
        let mut index: Vec<(u64, Record)> =
            self.records.arrivals().map(|record| (hash(record), record)).collect();
        sort(&mut index, &|left, right| left.cmp(&right));
        index
    }

    fn identity(&self, seed: &[u8; 16], record: Record) -> u64 {
        let lanes = self.records.entry_hash(record, &self.nodes).map(u32::to_le_bytes);
        let parts = |dot: NodeDot| (self.nodes.id(dot.node).0, dot.counter.to_le_bytes());
        let (replica, counter) = parts(self.records.dot(record));
        match self.records.origin(record).map(parts) {
            None => siphash13(seed, &[lanes.as_flattened(), &replica, &counter, &[0]]),
            Some((origin, origin_counter)) => siphash13(
                seed,
                &[lanes.as_flattened(), &replica, &counter, &[1], &origin, &origin_counter],
            ),
        }
    }
}

fn read_ranges(bytes: &[u8], depth_max: u8) -> Result<Vec<(u8, u64)>> {
    let (ranges, rest) = bytes.as_chunks::<9>();
    if !rest.is_empty() || ranges.iter().any(|[depth, ..]| *depth > depth_max) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "ranges have 9 bytes each, and a depth of at most 15 (hashes: 16)",
        ));
    }
    let range = |[depth, hash @ ..]: &[u8; 9]| (*depth, u64::from_le_bytes(*hash));
    Ok(ranges.iter().map(range).collect())
}

/// What lies in the range of the hashes that share the top 4 × `depth` bits of `hash`.
fn within(index: &[(u64, Record)], depth: u8, hash: u64) -> &[(u64, Record)] {
    let free = u64::MAX.checked_shr(4 * u32::from(depth)).unwrap_or(0);
    let (first, last) = (hash & !free, hash | free);
    let start = index.partition_point(|&(hash, _)| hash < first);
    let end = index.partition_point(|&(hash, _)| hash <= last);
    &index[start..end]
}
