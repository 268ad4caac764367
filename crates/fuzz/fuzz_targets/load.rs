//! Opening whatever comes as a snapshot, and reading it.
#![no_main]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use lastwrite_core::{Dictionary, MILLIS_MAX, Range};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut frame = bytes.to_vec();
    common::seal(&mut frame);
    let Ok(mut dictionary) = Dictionary::load(&common::options(10), &[&frame]) else { return };
    let mut out = Vec::new();
    dictionary.scan(&Range { prefix: "", from: None, to: None, reverse: true, limit: usize::MAX }, &mut out);
    dictionary.hashes(&[7; 16], &[0; 9], &mut out).expect("a range");
    let rows = common::rows(&common::snapshot(&mut dictionary));
    assert_eq!(common::digest_of(&rows), dictionary.digest());
    dictionary.delete_prefix("", 1 << 40).expect("a prefix");
    let mut other = common::open(11);
    let whole = common::snapshot(&mut dictionary);
    other.reread(&[&whole], MILLIS_MAX).expect("an own snapshot");
    assert_eq!(other.len(), dictionary.len());
});
