//! What the integration tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use lastwrite_core::{Dictionary, ExportOptions, MergeReport, Options, Parts, ReplicaId, Value};

/// Five minutes, as for everybody.
pub const DRIFT_MAX: u64 = 300_000;

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
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// The state as bytes, which asking for does not change.
pub fn snapshot(dictionary: &mut Dictionary) -> Vec<u8> {
    let options = ExportOptions { own_storage: true, ..ExportOptions::default() };
    let mut parts = Parts::default();
    dictionary.snapshot(&options, &mut parts).expect("no transaction is open");
    parts.bytes
}

pub fn delta(dictionary: &mut Dictionary, base: Option<&[u8]>) -> Vec<u8> {
    let mut parts = Parts::default();
    dictionary.delta(base, &ExportOptions::default(), &mut parts).expect("a version");
    parts.bytes
}

/// Gives `to` all that `from` has and it has not.
pub fn pull(to: &mut Dictionary, from: &mut Dictionary, now: u64) -> MergeReport {
    let frame = delta(from, Some(&version(to)));
    to.merge(&frame, now, false).expect("a delta")
}

/// Everything that can be seen of a dictionary, and what it would write next.
pub fn state(dictionary: &mut Dictionary) -> (Vec<u8>, Vec<u8>, [u8; 16], u64, usize) {
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
