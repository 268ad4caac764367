//! The one sort of this crate: of numbers under ranks, so that its code is there only once.

use core::cmp::Ordering;

/// Sorts by rank, then by what `tie` says of the numbers.
pub(crate) fn sort(list: &mut [(u64, u32)], tie: &dyn Fn(u32, u32) -> Ordering) {
    list.sort_unstable_by(|&(a, left), &(b, right)| a.cmp(&b).then_with(|| tie(left, right)));
}

/// The places of `count` items in the order that `compare` gives them.
pub(crate) fn sorted_places(
    count: usize,
    compare: &dyn Fn(u32, u32) -> Ordering,
) -> impl Iterator<Item = usize> + use<> {
    let mut places: Vec<(u64, u32)> = (0..count).zip(0..).map(|(_, place)| (0, place)).collect();
    sort(&mut places, compare);
    places.into_iter().map(|(_, place)| place as usize)
}

/// The first eight bytes as a number that orders like them.
pub(crate) fn head(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*first);
    }
    bytes.iter().enumerate().fold(0, |head, (at, &byte)| head | u64::from(byte) << (56 - 8 * at))
}
