//! Frames: header, blocks and checksum. Reading takes no memory.

use core::cmp::Ordering;

use crate::block::{Block, BlockReader, Chunk, EntryBytes};
use crate::error::{Error, ErrorKind, Read, corrupt};
use crate::hash::checksum;
use crate::stamp::ReplicaId;
use crate::version::{RunsBytes, VectorBytes, checked};
use crate::wire::{Reader, put_varint_before};

pub(crate) const DELTA: u8 = 1;
pub(crate) const SNAPSHOT: u8 = 2;
pub(crate) const VERSION: u8 = 3;
pub(crate) const CHANGES: u8 = 4;
pub(crate) const ENTRIES: u8 = 5;
pub(crate) const JOURNAL: u8 = 6;
pub(crate) const FRONTIER: u8 = 7;

/// Fields of the header.
pub(crate) mod field {
    pub const REPLICAS: u8 = 1;
    pub const PART: u8 = 2;
    pub const BASE: u8 = 3;
    pub const VECTOR: u8 = 4;
    pub const HORIZON: u8 = 5;
    pub const END: u8 = 6;
    pub const FLAGS: u8 = 7;
    pub const CLOCK: u8 = 8;
    pub const PLACE: u8 = 9;
    pub const ATTRIBUTES: u8 = 10;
    pub const COLLECTOR: u8 = 11;
}

/// The flag of an export from which entries were withheld.
pub(crate) const TAINTED: u8 = 1;
/// The flag of a journal that is part of a whole state.
pub(crate) const WHOLE: u8 = 2;
/// The flag of changes whose header leaves out what a frontier has.
pub(crate) const DIFFERENCE: u8 = 4;
/// The furthest place in the arrival log that a journal may name: what follows it can still be counted.
const PLACE_MAX: u64 = (1 << 48) - 1;

const MAGIC: [u8; 2] = *b"LW";
const FORMAT: u8 = 1;

/// What an entry weighs at most in memory besides its key and payload.
const ENTRY_WEIGHT: usize = 40;
/// Bytes of the checksum.
const SUM: usize = 4;
/// How much larger than its bytes the entries of a frame may become.
const EXPANSION_MAX: usize = 64;

/// A frame whose header was read and found sound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub kind: u8,
    pub replicas: &'a [[u8; 16]],
    /// Delta id and part number.
    pub part: Option<(u64, u64)>,
    pub base: Option<(VectorBytes<'a>, RunsBytes<'a>)>,
    pub vector: VectorBytes<'a>,
    pub horizon: VectorBytes<'a>,
    /// The greatest collected stamp: index of its replica, HLC.
    pub collected: Option<(usize, u64)>,
    pub end: Option<RunsBytes<'a>>,
    pub tainted: bool,
    /// The header of changes has only what a frontier of the sender has not.
    pub difference: bool,
    /// A journal that is part of a whole state.
    pub whole: bool,
    /// Clock and floor of a journal.
    pub clock: Option<(u64, u64)>,
    /// Index of the own replica id of a journal, and the place of its first entry.
    pub place: Option<(usize, u64)>,
    /// Who collects: index of the replica that said so, HLC, and the id of the store.
    pub collector: Option<(usize, u64, &'a [u8; 16])>,
    pub bytes: &'a [u8],
    blocks: &'a [u8],
}

/// What a look at all entries of a frame found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub entries: usize,
    chunks: usize,
    pub key_bytes: usize,
    pub hlc_max: u64,
    pub has_prefixes: bool,
}

impl<'a> Frame<'a> {
    /// Reads the header of a frame of one of `kinds`. [`Self::check`] looks at the entries.
    pub fn read(bytes: &'a [u8], kinds: &[u8]) -> Read<Self> {
        let (body, sum) =
            bytes.split_last_chunk::<SUM>().ok_or(corrupt!("the bytes are no frame"))?;
        if checksum(body) != u32::from_le_bytes(*sum) {
            return Err(corrupt!("the checksum of the frame is wrong"));
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(
                const { &Error::new(ErrorKind::TooLarge, "a frame is shorter than 4 GiB") },
            );
        }
        let mut reader = Reader::new(body);
        if *reader.array::<2>()? != MAGIC {
            return Err(corrupt!("the bytes are no frame"));
        }
        if reader.byte()? != FORMAT {
            return Err(const {
                &Error::new(
                    ErrorKind::UnsupportedFormat,
                    "the frame is of another version of the format",
                )
            });
        }
        let kind = reader.byte()?;
        if !kinds.contains(&kind) {
            return Err(const {
                &Error::new(
                    ErrorKind::UnsupportedFormat,
                    "a frame of this kind is not known or not taken here",
                )
            });
        }
        let mut frame = Frame {
            kind,
            replicas: &[],
            part: None,
            base: None,
            vector: VectorBytes::default(),
            horizon: VectorBytes::default(),
            collected: None,
            end: None,
            tainted: false,
            difference: false,
            whole: false,
            clock: None,
            place: None,
            collector: None,
            bytes,
            blocks: &[],
        };
        frame.read_fields(&mut reader)?;
        frame.blocks = reader.rest;
        if matches!(kind, VERSION | FRONTIER) && !frame.blocks.is_empty() {
            return Err(corrupt!("a version or frontier has entries"));
        }
        Ok(frame)
    }

    fn read_fields(&mut self, reader: &mut Reader<'a>) -> Read<()> {
        let mut last = 0;
        let mut has_replicas = false;
        loop {
            let id = reader.byte()?;
            if id == 0 {
                break;
            }
            if id <= last {
                return Err(corrupt!("the fields of a header are out of order"));
            }
            last = id;
            let length = reader.length()?;
            let mut bytes = Reader::new(reader.take(length)?);
            let allowed = match id {
                field::PART => matches!(self.kind, DELTA | SNAPSHOT),
                field::BASE => self.kind == DELTA,
                field::VECTOR | field::END => self.kind != ENTRIES,
                field::HORIZON | field::COLLECTOR => !matches!(self.kind, VERSION | ENTRIES),
                field::FLAGS => !matches!(self.kind, VERSION | ENTRIES | FRONTIER),
                field::CLOCK | field::PLACE | field::ATTRIBUTES => self.kind == JOURNAL,
                _ => true,
            };
            if !allowed {
                return Err(corrupt!("a field does not belong to its kind of frame"));
            }
            has_replicas |= id == field::REPLICAS;
            if id <= field::COLLECTOR {
                self.read_field(id, &mut bytes)?;
                if !bytes.is_empty() {
                    return Err(corrupt!("a field has bytes too many"));
                }
            }
        }
        let is_whole =
            self.part.is_some() || self.end.is_some() || !matches!(self.kind, DELTA | SNAPSHOT);
        let has_journal = self.clock.is_some() && self.place.is_some();
        if !has_replicas
            || !is_whole
            || (self.kind == DELTA && self.base.is_none())
            || (self.kind == JOURNAL && !has_journal)
        {
            return Err(corrupt!("a field of the header is missing"));
        }
        Ok(())
    }

    fn read_field(&mut self, id: u8, reader: &mut Reader<'a>) -> Read<()> {
        let replicas = self.replicas.len();
        match id {
            field::REPLICAS => {
                let (ids, rest) = reader.rest.as_chunks::<16>();
                if !ids.is_sorted_by(|a, b| a < b) {
                    return Err(corrupt!("the replicas are out of order"));
                }
                self.replicas = ids;
                reader.rest = rest;
            }
            field::PART => {
                let part = (reader.u64()?, reader.varint()?);
                if part.1 > u64::from(u32::MAX) {
                    return Err(corrupt!("a part number is out of range"));
                }
                self.part = Some(part);
            }
            field::BASE => {
                let vector = VectorBytes::read(reader, replicas)?;
                self.base = Some((vector, RunsBytes::read(reader, replicas, vector)?));
            }
            field::VECTOR => {
                self.vector = VectorBytes::read(reader, replicas)?;
                needed(!self.vector.is_empty())?;
            }
            field::HORIZON => {
                self.horizon = VectorBytes::read(reader, replicas)?;
                let collected = reader.varint()?;
                if collected > 0 {
                    let replica =
                        usize::try_from(collected - 1).ok().filter(|&replica| replica < replicas);
                    let replica = replica.ok_or(corrupt!("a replica is not in the table"))?;
                    self.collected = Some((replica, reader.u64()?));
                }
                needed(!self.horizon.is_empty() || self.collected.is_some())?;
            }
            field::END => {
                let end = RunsBytes::read(reader, replicas, self.vector)?;
                needed(!matches!(self.kind, VERSION | JOURNAL | FRONTIER) || !end.is_empty())?;
                self.end = Some(end);
            }
            field::FLAGS => {
                let known = match self.kind {
                    JOURNAL => WHOLE,
                    CHANGES => TAINTED | DIFFERENCE,
                    _ => TAINTED,
                };
                let flags = reader.varint()?;
                needed(flags > 0 && flags & !u64::from(known) == 0)?;
                let has = |flag: u8| flags & u64::from(flag) != 0;
                self.tainted = has(TAINTED);
                self.whole = has(WHOLE);
                self.difference = has(DIFFERENCE);
            }
            field::CLOCK => self.clock = Some((reader.u64()?, reader.u64()?)),
            field::PLACE => {
                let own = index(reader, replicas)?;
                let place = reader.varint()?;
                if place > PLACE_MAX {
                    return Err(corrupt!("a place is out of range"));
                }
                self.place = Some((own, place));
            }
            field::ATTRIBUTES => {
                needed(!reader.is_empty())?;
                reader.rest = &[];
            }
            _ => {
                let replica = index(reader, replicas)?;
                self.collector = Some((replica, reader.u64()?, reader.array()?));
            }
        }
        Ok(())
    }

    /// Refuses what can only be read by who has the rest of it.
    pub fn no_difference(&self) -> Read<()> {
        if self.difference {
            return Err(const {
                &Error::new(
                    ErrorKind::UnsupportedFormat,
                    "the frame is a difference, which only the session that it was made for can merge",
                )
            });
        }
        Ok(())
    }

    pub fn replica(&self, index: usize) -> ReplicaId {
        ReplicaId(self.replicas[index])
    }

    /// Looks at every entry once, and calls back with the chunks. After this, [`Self::chunks`] cannot fail.
    pub fn check(&self, chunk: &mut Chunk, look: &mut dyn FnMut(&Chunk)) -> Read<Checked> {
        let mut checked = Checked::default();
        let mut expanded = 0;
        let mut reader = BlockReader::new(self.replicas.len());
        let mut blocks = Reader::new(self.blocks);
        let mut order = OrderCheck::default();
        let mut is_last = false;
        while !blocks.is_empty() {
            let block = Block::read(&mut blocks, self.bytes.len() - SUM)?;
            if is_last {
                return Err(corrupt!("a block that is not the last one is not full"));
            }
            is_last = !block.is_full();
            let (entries, keys, payloads) = block.expanded()?;
            expanded += keys + payloads + entries * ENTRY_WEIGHT;
            if expanded > EXPANSION_MAX * self.bytes.len() {
                return Err(const {
                    &Error::new(
                        ErrorKind::TooLarge,
                        "the entries of the frame expand above 64 times its bytes",
                    )
                });
            }
            checked.entries += entries;
            checked.key_bytes += keys;
            let ascii = block.ascii();
            reader.start(&block, chunk);
            while reader.next(chunk)? {
                checked.chunks += 1;
                chunk.check(self.bytes, ascii)?;
                order.chunk(self.kind, chunk)?;
                checked.hlc_max = checked.hlc_max.max(chunk.hlc_max());
                checked.has_prefixes |= (0..chunk.len()).any(|at| chunk.is_prefix(at));
                look(chunk);
            }
        }
        Ok(checked)
    }

    /// Calls back with the chunks of a frame that was checked with the same `chunk` just before.
    pub fn chunks(&self, checked: &Checked, chunk: &mut Chunk, take: &mut dyn FnMut(&Chunk)) {
        if checked.chunks == 1 {
            // The only one is still there.
            take(chunk);
        } else {
            self.read_chunks(chunk, take);
        }
    }

    /// Calls back with the chunks of a frame that was checked some time before.
    pub fn chunks_anew(&self, take: &mut dyn FnMut(&Chunk)) {
        self.read_chunks(&mut Chunk::default(), take);
    }

    fn read_chunks(&self, chunk: &mut Chunk, take: &mut dyn FnMut(&Chunk)) {
        let mut reader = BlockReader::new(self.replicas.len());
        let mut blocks = Reader::new(self.blocks);
        while !blocks.is_empty() {
            let block = checked(Block::read(&mut blocks, self.bytes.len() - SUM));
            reader.start(&block, chunk);
            while checked(reader.next(chunk)) {
                take(chunk);
            }
        }
    }

    /// Calls back with every entry of a chunk of this frame.
    pub fn entries(&self, chunk: &Chunk, mut take: impl FnMut(&[u8], &EntryBytes<'a>)) {
        for at in 0..chunk.len() {
            take(chunk.key(at), &chunk.entry(at, self.bytes));
        }
    }
}

/// Sees to the order of the entries of a frame, strictly ascending.
#[derive(Default)]
struct OrderCheck {
    /// The last entry of the chunk before: its dot, its key, and whether it is no prefix tombstone.
    dot: (u32, u64),
    key: Vec<u8>,
    is_entry: bool,
    is_begun: bool,
}

impl OrderCheck {
    fn chunk(&mut self, kind: u8, chunk: &Chunk) -> Read<()> {
        if kind != DELTA && kind != SNAPSHOT {
            return Ok(());
        }
        for at in 0..chunk.len() {
            // Keys decide among the entries of one dot, which clones leave behind.
            let dot = if kind == DELTA { chunk.dot(at) } else { (0, 0) };
            let is_entry = !chunk.is_prefix(at);
            let ascends = match self.dot.cmp(&dot) {
                Ordering::Less => true,
                Ordering::Greater => false,
                Ordering::Equal => {
                    let last = if at == 0 { &self.key } else { chunk.key(at - 1) };
                    !self.is_begun || (last, self.is_entry) < (chunk.key(at), is_entry)
                }
            };
            if !ascends {
                return Err(corrupt!("the entries of the frame are out of order"));
            }
            self.dot = dot;
            self.is_entry = is_entry;
            self.is_begun = true;
        }
        self.key.clear();
        self.key.extend_from_slice(chunk.key(chunk.len() - 1));
        Ok(())
    }
}

/// Fields that say nothing are left out; flags that nobody knows are refused.
fn needed(says_something: bool) -> Read<()> {
    if says_something {
        Ok(())
    } else {
        Err(corrupt!("a field of the header says nothing that is known"))
    }
}

/// An index into the table of replicas.
pub(crate) fn index(reader: &mut Reader<'_>, replicas: usize) -> Read<usize> {
    let index = reader.varint()?;
    usize::try_from(index)
        .ok()
        .filter(|&index| index < replicas)
        .ok_or(corrupt!("a replica is not in the table"))
}

/// Begins a frame at the end of `out`.
pub(crate) fn begin(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[FORMAT, kind]);
}

/// Writes a field that `write` fills.
pub(crate) fn put_field(out: &mut Vec<u8>, id: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(id);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    put_varint_before(out, start, length as u64);
}

/// Ends the frame that begins at `start` with its checksum.
pub(crate) fn end(out: &mut Vec<u8>, start: usize) {
    let sum = checksum(&out[start..]);
    out.extend_from_slice(&sum.to_le_bytes());
}
