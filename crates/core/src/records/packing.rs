//! Packing: what was replaced or dropped gives its memory, and its places in the log, back.

use super::{DROPPED, HEADER, KEY_MASK, META, PLACE, Record, Records, STAMP_NODE, word_at};

/// Places of the log that may be empty beyond the number of entries.
const LOG_SLACK: usize = 64;
/// Bytes that are not worth a packing.
const WASTE_MIN: usize = 1 << 16;

impl Records {
    /// Moves the head up to `place`. The places between stay empty, unless the log is packed up to there: on demand, or when that would be due.
    pub fn move_head(&mut self, place: u64, packs: bool) {
        let empty = place - self.log.base() - self.held as u64;
        if packs || (place > self.head() && empty > (self.held + LOG_SLACK) as u64) {
            self.pack_log(place);
        } else {
            self.log.extend(place);
        }
    }

    /// Packs log, arena and heap where too much of them is empty. Answers how records moved, if they did.
    pub fn pack(&mut self) -> Option<Moved> {
        debug_assert!(!self.keep_former);
        if self.log.len() - self.held > self.held + LOG_SLACK {
            self.pack_log(self.head());
        }
        if self.wasted_heap > WASTE_MIN && self.wasted_heap * 2 > self.heap.len() {
            self.pack_heap();
        }
        let moves = self.wasted_arena > WASTE_MIN && self.wasted_arena * 2 > self.arena.len();
        moves.then(|| self.pack_arena())
    }

    /// Packs the log so that it ends at `head`.
    fn pack_log(&mut self, head: u64) {
        for record in self.log.restart(head - self.held as u64) {
            self.put_word(record, PLACE, self.log.next());
            self.log.push(record, self.dot(record));
        }
    }

    fn pack_heap(&mut self) {
        let mut heap = Vec::with_capacity(self.heap.len() - self.wasted_heap);
        for record in self.log.records() {
            if self.heap_length(record) == 0 {
                continue;
            }
            let place = (heap.len() as u64) << 24 | self.heap_length(record) as u64;
            heap.extend_from_slice(self.value(record).payload);
            let at = Self::at(record) + 16;
            self.arena[at..at + 8].copy_from_slice(&place.to_le_bytes());
        }
        self.heap = heap;
        self.wasted_heap = 0;
    }

    fn pack_arena(&mut self) -> Moved {
        let mut packed = Vec::with_capacity(self.arena.len() - self.wasted_arena);
        packed.resize(4, 0);
        let arena = &mut self.arena;
        self.log.move_records(|record| {
            let from = Self::at(record);
            #[expect(clippy::cast_possible_truncation, reason = "the arena only shrinks")]
            let to = (packed.len() / 4) as Record;
            let key_length = (word_at(arena, from + META) & KEY_MASK) as usize;
            let length = (HEADER + key_length).next_multiple_of(4);
            packed.extend_from_slice(&arena[from..from + length]);
            // The old record, about to go, tells where the new one is.
            arena[from + STAMP_NODE..from + STAMP_NODE + 4].copy_from_slice(&to.to_le_bytes());
            to
        });
        let moved = Moved(core::mem::replace(&mut self.arena, packed));
        // Put in one by one: a map that is collected brings a sort of its own along.
        for (record, origin) in core::mem::take(&mut self.origins) {
            self.origins.insert(moved.to(record), origin);
        }
        self.wasted_arena = 0;
        self.table.moved(|record| moved.to(record));
        moved
    }
}

/// Where records went when the arena was packed.
pub(crate) struct Moved(Vec<u8>);

impl Moved {
    pub fn was_held(&self, record: Record) -> bool {
        word_at(&self.0, Records::at(record) + META) & DROPPED == 0
    }

    /// The new place of a record that was held.
    pub fn to(&self, record: Record) -> Record {
        word_at(&self.0, Records::at(record) + STAMP_NODE)
    }
}
