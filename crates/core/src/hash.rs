//! The hashes of docs/format.md, and the private one of the table.

/// Four lanes of 32 bits: a state of `mix`, an entry hash, a digest.
pub(crate) type Lanes = [u32; 4];

const C1: u32 = 0x239b_961b;
const C2: u32 = 0xab0e_9789;
const C3: u32 = 0x38b3_4ae5;
const C4: u32 = 0xa1e3_8b93;

/// The body and finish of `MurmurHash3` `x86_128` (Austin Appleby, public domain) over whole blocks.
#[derive(Clone, Copy)]
pub(crate) struct Mix {
    lanes: Lanes,
    blocks: u32,
}

impl Mix {
    #[inline]
    pub fn new(seed: &[u8; 16]) -> Self {
        Self { lanes: words(seed), blocks: 0 }
    }

    #[inline]
    pub fn block(&mut self, block: Lanes) {
        self.lanes = mixed(self.lanes, block);
        self.blocks = self.blocks.wrapping_add(1);
    }

    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, tail) = bytes.as_chunks::<16>();
        let mut mix = *self;
        for block in blocks {
            mix.block(words(block));
        }
        if !tail.is_empty() {
            mix.block(padded(bytes, tail));
        }
        *self = mix;
    }

    #[inline]
    pub fn finish(self) -> Lanes {
        let length = self.blocks.wrapping_mul(16);
        let sum = |[h1, h2, h3, h4]: Lanes| {
            let h1 = h1.wrapping_add(h2).wrapping_add(h3).wrapping_add(h4);
            [h1, h2.wrapping_add(h1), h3.wrapping_add(h1), h4.wrapping_add(h1)]
        };
        sum(sum(self.lanes.map(|lane| lane ^ length)).map(fmix))
    }
}

#[inline]
fn mixed([h1, h2, h3, h4]: Lanes, [k1, k2, k3, k4]: Lanes) -> Lanes {
    let h1 = h1 ^ k1.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let h1 = step(h1.rotate_left(19).wrapping_add(h2), 0x561c_cd1b);
    let h2 = h2 ^ k2.wrapping_mul(C2).rotate_left(16).wrapping_mul(C3);
    let h2 = step(h2.rotate_left(17).wrapping_add(h3), 0x0bca_a747);
    let h3 = h3 ^ k3.wrapping_mul(C3).rotate_left(17).wrapping_mul(C4);
    let h3 = step(h3.rotate_left(15).wrapping_add(h4), 0x96cd_1c35);
    let h4 = h4 ^ k4.wrapping_mul(C4).rotate_left(18).wrapping_mul(C1);
    let h4 = step(h4.rotate_left(13).wrapping_add(h1), 0x32ac_3b17);
    [h1, h2, h3, h4]
}

#[inline]
fn step(h: u32, add: u32) -> u32 {
    h.wrapping_mul(5).wrapping_add(add)
}

#[inline]
fn fmix(mut h: u32) -> u32 {
    h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
    h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
    h ^ (h >> 16)
}

/// The last 1 to 15 bytes, filled up with zeros: shifted out of the words that end where they do.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "words are taken apart into halves")]
fn padded(bytes: &[u8], tail: &[u8]) -> Lanes {
    let (low, high) =
        if let (Some(first), Some(last)) = (tail.first_chunk::<8>(), tail.last_chunk::<8>()) {
            let surplus = 8 * (16 - tail.len());
            (
                u64::from_le_bytes(*first),
                u64::from_le_bytes(*last).checked_shr(surplus as u32).unwrap_or(0),
            )
        } else if let Some(last) = bytes.last_chunk::<8>() {
            (u64::from_le_bytes(*last) >> (8 * (8 - tail.len())), 0)
        } else {
            (tail.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0)
        };
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}

#[inline]
fn words(bytes: &[u8; 16]) -> Lanes {
    let (words, _) = bytes.as_chunks::<4>();
    [0, 1, 2, 3].map(|lane| u32::from_le_bytes(words[lane]))
}

/// The hash of an entry's key, tag, stamp and payload; not of its dot.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "keys and payloads are at most 1 MiB; the HLC is split"
)]
pub(crate) fn entry_hash(
    replica: &[u8; 16],
    hlc: u64,
    tag: u8,
    key: &[u8],
    payload: &[u8],
) -> Lanes {
    let mut mix = Mix::new(replica);
    mix.block([
        key.len() as u32 | u32::from(tag) << 16,
        payload.len() as u32,
        hlc as u32,
        (hlc >> 32) as u32,
    ]);
    mix.bytes(key);
    mix.bytes(payload);
    mix.finish()
}

/// The first 8 bytes of the hash of the concatenation of `parts`.
#[expect(clippy::cast_possible_truncation, reason = "the length is hashed modulo 2^32")]
pub(crate) fn hash_of_bytes(bytes: &[u8]) -> u64 {
    let mut mix = Mix::new(&[0; 16]);
    mix.block([bytes.len() as u32, 0, 0, 0]);
    mix.bytes(bytes);
    let [h1, h2, ..] = mix.finish();
    u64::from(h1) | u64::from(h2) << 32
}

/// XXH32 (Yann Collet) with seed 0.
#[expect(clippy::cast_possible_truncation, reason = "XXH32 takes the length modulo 2^32")]
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    const P1: u32 = 0x9e37_79b1;
    const P2: u32 = 0x85eb_ca77;
    const P3: u32 = 0xc2b2_ae3d;
    const P4: u32 = 0x27d4_eb2f;
    const P5: u32 = 0x1656_67b1;
    let round = |lane: u32, word: u32| {
        lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(13).wrapping_mul(P1)
    };
    let (stripes, tail) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        P5
    } else {
        let mut lanes = [P1.wrapping_add(P2), P2, 0, 0_u32.wrapping_sub(P1)];
        for stripe in stripes {
            let words = words(stripe);
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = round(*lane, word);
            }
        }
        let [a, b, c, d] = lanes;
        a.rotate_left(1)
            .wrapping_add(b.rotate_left(7))
            .wrapping_add(c.rotate_left(12))
            .wrapping_add(d.rotate_left(18))
    };
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, tail) = tail.as_chunks::<4>();
    for word in words {
        hash = hash
            .wrapping_add(u32::from_le_bytes(*word).wrapping_mul(P3))
            .rotate_left(17)
            .wrapping_mul(P4);
    }
    for &byte in tail {
        hash = hash.wrapping_add(u32::from(byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(P3);
    hash ^ (hash >> 16)
}

/// SipHash-1-3 (Aumasson, Bernstein) over the concatenation of `parts`.
pub(crate) fn siphash13(key: &[u8; 16], parts: &[&[u8]]) -> u64 {
    let half = |range: core::ops::Range<usize>| {
        key[range].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    };
    let (k0, k1) = (half(0..8), half(8..16));
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (mut word, mut length) = (0_u64, 0_u64);
    for &byte in parts.iter().copied().flatten() {
        word |= u64::from(byte) << (8 * (length % 8));
        length += 1;
        if length.is_multiple_of(8) {
            v[3] ^= word;
            sip_round(&mut v);
            v[0] ^= word;
            word = 0;
        }
    }
    word |= length << 56;
    v[3] ^= word;
    sip_round(&mut v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for _ in 0..3 {
        sip_round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[expect(
    clippy::many_single_char_names,
    reason = "the four words of the state have no other names"
)]
fn sip_round(v: &mut [u64; 4]) {
    let [a, b, c, d] = v;
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

/// The private hash of the table: folded multiplication, keyed per process so that
/// nobody outside can craft keys that collide. It never leaves the process.
#[inline]
#[must_use]
pub fn table_hash(seed: [u64; 2], key: &[u8]) -> u64 {
    let mut state = seed[0] ^ (key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (blocks, tail) = key.as_chunks::<16>();
    for block in blocks {
        let (halves, _) = block.as_chunks::<8>();
        state =
            fold(u64::from_le_bytes(halves[0]) ^ seed[1], u64::from_le_bytes(halves[1]) ^ state);
    }
    let (low, high) = ends(tail);
    state = fold(low ^ seed[1], high ^ state);
    fold(state ^ seed[1], 0x9e37_79b9_7f4a_7c15)
}

/// Up to 16 bytes as two words that together hold them all.
#[inline]
fn ends(tail: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (tail.first_chunk::<8>(), tail.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else {
        let byte = |at: usize| tail.get(at).copied().map_or(0, u64::from);
        (byte(0) | byte(1) << 8, byte(2))
    }
}

#[inline]
#[cfg(not(target_arch = "wasm32"))]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Without a wide multiplication: two products of 32-bit halves.
#[inline]
#[cfg(target_arch = "wasm32")]
fn fold(a: u64, b: u64) -> u64 {
    let low = (a & 0xffff_ffff).wrapping_mul(b >> 32);
    let high = (a >> 32).wrapping_mul(b & 0xffff_ffff);
    low ^ high.rotate_right(32) ^ a.wrapping_mul(b).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_xxh32() {
        assert_eq!(checksum(b""), 0x02cc_5d05);
        assert_eq!(checksum(b"a"), 0x550d_7456);
        assert_eq!(checksum(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
    }

    #[test]
    fn hashes_are_those_of_the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../test/vectors/hashes.json")).unwrap();
        let text = |json: &serde_json::Value| json.as_str().unwrap().to_owned();
        let key = u128::from_str_radix(&text(&vectors["siphashKey"]), 16).unwrap().to_be_bytes();
        for vector in vectors["bytes"].as_array().unwrap() {
            let input = text(&vector["text"]);
            let input = input.as_bytes();
            assert_eq!(format!("{:08x}", checksum(input)), text(&vector["xxh32"]));
            assert_eq!(format!("{:016x}", siphash13(&key, &[input])), text(&vector["siphash"]));
            let lanes = hash_of_bytes(input);
            let [h1, h2] = [lanes & 0xffff_ffff, lanes >> 32];
            assert_eq!(format!("{h1:08x}{h2:08x}"), text(&vector["mix"])[..16]);
        }
    }

    #[test]
    fn siphash_differs_by_key_and_does_not_see_the_cuts() {
        let key = *b"0123456789abcdef";
        assert_eq!(siphash13(&key, &[b"abc", b"defghijkl"]), siphash13(&key, &[b"abcdefghijkl"]));
        assert_ne!(siphash13(&key, &[b"abc"]), siphash13(&[0; 16], &[b"abc"]));
    }

    #[test]
    fn tails_are_filled_up_with_zeros() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in (1..40).filter(|length| length % 16 != 0) {
            let mut whole = bytes[..length].to_vec();
            whole.resize(length.next_multiple_of(16), 0);
            let hash = |bytes: &[u8]| {
                let mut mix = Mix::new(&[7; 16]);
                mix.bytes(bytes);
                mix.finish()
            };
            assert_eq!(hash(&bytes[..length]), hash(&whole), "{length}");
        }
    }

    #[test]
    fn mix_finishes_every_lane() {
        let a = entry_hash(&[7; 16], 1, 4, b"key", &[1]);
        let b = entry_hash(&[7; 16], 1, 4, b"key", &[2]);
        assert!(a.iter().zip(b).all(|(a, b)| *a != b));
    }

    #[test]
    fn table_hash_uses_every_byte_and_the_seed() {
        let mut seen = std::collections::BTreeSet::new();
        for length in 0..40 {
            let mut key = vec![b'x'; length];
            assert!(seen.insert(table_hash([1, 2], &key)));
            for at in 0..length {
                key[at] = b'y';
                assert!(seen.insert(table_hash([1, 2], &key)), "{length} {at}");
                key[at] = b'x';
            }
        }
        assert_ne!(table_hash([1, 2], b"key"), table_hash([3, 2], b"key"));
        assert_ne!(table_hash([1, 2], b"key"), table_hash([1, 3], b"key"));
    }
}
