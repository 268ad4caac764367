//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod oracle;

use lastwrite_core::{
    Dictionary, ExportOptions, JournalOptions, MergeOptions, MergeReport, Options, Parts,
    ReplicaId, Value,
};

/// Five minutes, as for everybody.
pub const DRIFT_MAX: u64 = 300_000;

/// A merge of what stands alone.
pub const PLAIN: MergeOptions = MergeOptions { adopt: false, repair: false, difference: false };
/// A merge of changes that start from what was adopted.
pub const ADOPTING: MergeOptions = MergeOptions { adopt: true, repair: false, difference: false };
/// A merge of changes whose header is a difference to what was adopted.
pub const FOLLOWING: MergeOptions = MergeOptions { adopt: true, repair: false, difference: true };

/// The id of 15 zeros and `number`.
pub fn id(number: u8) -> ReplicaId {
    let mut id = [0; 16];
    id[15] = number;
    ReplicaId(id)
}

pub fn options(number: u8) -> Options {
    Options {
        replica_id: id(number),
        spare_id: id(number + 128),
        drift_max: DRIFT_MAX,
        hash_seed: [1, 2],
    }
}

/// Replica `number`, whose spare id is `number` + 128.
pub fn open(number: u8) -> Dictionary {
    Dictionary::new(&options(number))
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub fn from_hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "half a byte in {text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}

pub fn version(dictionary: &Dictionary) -> Vec<u8> {
    let mut out = Vec::new();
    dictionary.version(&mut out);
    out
}

/// The state as bytes. Asking for it only raises the floor: its own entries count as handed out.
pub fn snapshot(dictionary: &mut Dictionary) -> Vec<u8> {
    let mut parts = Parts::default();
    dictionary.snapshot(&ExportOptions::default(), &mut parts).expect("no transaction is open");
    parts.bytes
}

/// What changed since the last journal: one frame or none.
pub fn journal(dictionary: &mut Dictionary) -> Vec<Vec<u8>> {
    journal_of(dictionary, &[], &JournalOptions::default())
}

/// The whole state with clock, floor, own id and order of arrival, as one journal.
pub fn whole_journal(dictionary: &mut Dictionary) -> Vec<u8> {
    let options = JournalOptions { whole: true, ..JournalOptions::default() };
    journal_of(dictionary, &[], &options).remove(0)
}

pub fn journal_of(
    dictionary: &mut Dictionary,
    attributes: &[u8],
    options: &JournalOptions,
) -> Vec<Vec<u8>> {
    let mut parts = Parts::default();
    dictionary.journal(attributes, options, &mut parts).expect("not broken, no transaction");
    parts.iter().map(<[u8]>::to_vec).collect()
}

pub fn delta(dictionary: &mut Dictionary, base: Option<&[u8]>) -> Vec<u8> {
    let mut parts = Parts::default();
    dictionary.delta(base, &ExportOptions::default(), &mut parts).expect("a version");
    parts.bytes
}

/// Gives `to` all that `from` has and it has not.
pub fn pull(to: &mut Dictionary, from: &mut Dictionary, now: u64) -> MergeReport {
    let frame = delta(from, Some(&version(to)));
    to.merge(&frame, now, PLAIN).expect("a delta")
}

/// Snapshot, version, digest, head and number of values.
pub type State = (Vec<u8>, Vec<u8>, [u8; 16], u64, usize);

/// All that can be seen of a dictionary without changing more than its floor.
pub fn state(dictionary: &mut Dictionary) -> State {
    (
        snapshot(dictionary),
        version(dictionary),
        dictionary.digest(),
        dictionary.head(),
        dictionary.len(),
    )
}

pub fn integer(buffer: &mut [u8; 8], number: u32) -> Value<'_> {
    lastwrite_core::encode_number(f64::from(number), buffer)
}

/// XXH32 with seed 0, written apart from the one under test.
pub fn xxh32(bytes: &[u8]) -> u32 {
    const P: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let mut at = 0;
    let mut hash = P[4];
    if bytes.len() >= 16 {
        let mut lanes = [P[0].wrapping_add(P[1]), P[1], 0, 0_u32.wrapping_sub(P[0])];
        while at + 16 <= bytes.len() {
            for (index, lane) in lanes.iter_mut().enumerate() {
                let round = lane.wrapping_add(word(at + 4 * index).wrapping_mul(P[1]));
                *lane = round.rotate_left(13).wrapping_mul(P[0]);
            }
            at += 16;
        }
        hash = [1, 7, 12, 18]
            .iter()
            .zip(lanes)
            .fold(0, |sum, (&by, lane)| lane.rotate_left(by).wrapping_add(sum));
    }
    hash = hash.wrapping_add(u32::try_from(bytes.len()).expect("a short input"));
    while at + 4 <= bytes.len() {
        hash = hash.wrapping_add(word(at).wrapping_mul(P[2])).rotate_left(17).wrapping_mul(P[3]);
        at += 4;
    }
    for &byte in &bytes[at..] {
        hash = hash
            .wrapping_add(u32::from(byte).wrapping_mul(P[4]))
            .rotate_left(11)
            .wrapping_mul(P[0]);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(P[1]);
    hash = (hash ^ hash >> 13).wrapping_mul(P[2]);
    hash ^ hash >> 16
}

/// Makes the checksum at the end of a frame right.
pub fn seal(frame: &mut [u8]) {
    if let Some(body) = frame.len().checked_sub(4) {
        let sum = xxh32(&frame[..body]);
        frame[body..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A row of columns with meta: see ts/engine/columns.ts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Vec<u8>,
    pub tag: u8,
    pub payload: Vec<u8>,
    pub hlc: u64,
    pub stamp_replica: [u8; 16],
    pub dot: ([u8; 16], u64),
    pub origin: Option<([u8; 16], u64)>,
}

/// The entries of a frame, read from the columns that the engine makes of it.
pub fn rows(frame: &[u8]) -> Vec<Row> {
    let mut columns = Vec::new();
    lastwrite_core::decode_entries(frame, &mut columns).expect("a frame with entries");
    let mut at = 0;
    let mut section = |width: usize, count: usize| {
        at = usize::next_multiple_of(at, 8);
        let section = columns[at..at + width * count].to_vec();
        at += width * count;
        section
    };
    let word = |section: &[u8], index: usize| {
        u32::from_le_bytes(section[4 * index..4 * index + 4].try_into().expect("four bytes"))
            as usize
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers below 2^53"
    )]
    let long = |section: &[u8], index: usize| {
        f64::from_le_bytes(section[8 * index..8 * index + 8].try_into().expect("eight bytes"))
            as u64
    };
    let header = section(4, 6);
    let [count, replicas, key_bytes, value_bytes] = [0, 2, 3, 4].map(|index| word(&header, index));
    let (key_ends, value_ends) = (section(4, count), section(4, count));
    let (millis, counters) = (section(8, count), section(4, count));
    let (stamp_replicas, dot_replicas) = (section(4, count), section(4, count));
    let dot_counters = section(8, count);
    let (origin_replicas, origin_counters) = (section(4, count), section(8, count));
    let ids = section(16, replicas);
    let (tags, keys, values) = (section(1, count), section(1, key_bytes), section(1, value_bytes));
    let id = |index: usize| -> [u8; 16] {
        ids[16 * index..16 * index + 16].try_into().expect("16 bytes")
    };
    let between = |bytes: &[u8], ends: &[u8], index: usize| {
        let start = if index == 0 { 0 } else { word(ends, index - 1) };
        bytes[start..word(ends, index)].to_vec()
    };
    (0..count)
        .map(|index| Row {
            key: between(&keys, &key_ends, index),
            tag: tags[index],
            payload: between(&values, &value_ends, index),
            hlc: long(&millis, index) << 16 | word(&counters, index) as u64,
            stamp_replica: id(word(&stamp_replicas, index)),
            dot: (id(word(&dot_replicas, index)), long(&dot_counters, index)),
            origin: (word(&origin_replicas, index) != u32::MAX as usize)
                .then(|| (id(word(&origin_replicas, index)), long(&origin_counters, index))),
        })
        .collect()
}

/// The digest of docs/format.md, written apart from the one under test.
pub fn digest_of(rows: &[Row]) -> [u8; 16] {
    let mut sum = [0_u32; 4];
    for row in rows {
        let short = |length: usize| u32::try_from(length).expect("a short input");
        let halves = row.hlc.to_le_bytes();
        let mut blocks = vec![[
            short(row.key.len()) | u32::from(row.tag) << 16,
            short(row.payload.len()),
            u32::from_le_bytes(halves[..4].try_into().expect("half")),
            u32::from_le_bytes(halves[4..].try_into().expect("half")),
        ]];
        for bytes in [&row.key, &row.payload] {
            for chunk in bytes.chunks(16) {
                let mut block = [0; 16];
                block[..chunk.len()].copy_from_slice(chunk);
                blocks.push(words(&block));
            }
        }
        for (lane, part) in sum.iter_mut().zip(murmur(words(&row.stamp_replica), &blocks)) {
            *lane = lane.wrapping_add(part);
        }
    }
    sum.map(u32::to_be_bytes).concat().try_into().expect("16 bytes")
}

fn words(bytes: &[u8; 16]) -> [u32; 4] {
    [0, 4, 8, 12].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")))
}

fn murmur(mut lanes: [u32; 4], blocks: &[[u32; 4]]) -> [u32; 4] {
    const C: [u32; 4] = [0x239b_961b, 0xab0e_9789, 0x38b3_4ae5, 0xa1e3_8b93];
    const ADD: [u32; 4] = [0x561c_cd1b, 0x0bca_a747, 0x96cd_1c35, 0x32ac_3b17];
    for block in blocks {
        for lane in 0..4 {
            let word = block[lane].wrapping_mul(C[lane]).rotate_left([15, 16, 17, 18][lane]);
            lanes[lane] ^= word.wrapping_mul(C[(lane + 1) % 4]);
            let turned =
                lanes[lane].rotate_left([19, 17, 15, 13][lane]).wrapping_add(lanes[(lane + 1) % 4]);
            lanes[lane] = turned.wrapping_mul(5).wrapping_add(ADD[lane]);
        }
    }
    let length = u32::try_from(16 * blocks.len()).expect("a short input");
    let sums = |lanes: [u32; 4]| {
        let first = lanes.iter().fold(0_u32, |sum, &lane| sum.wrapping_add(lane));
        [
            first,
            lanes[1].wrapping_add(first),
            lanes[2].wrapping_add(first),
            lanes[3].wrapping_add(first),
        ]
    };
    let finish = |lane: u32| {
        let lane = (lane ^ lane >> 16).wrapping_mul(0x85eb_ca6b);
        let lane = (lane ^ lane >> 13).wrapping_mul(0xc2b2_ae35);
        lane ^ lane >> 16
    };
    sums(sums(lanes.map(|lane| lane ^ length)).map(finish))
}
