//! Frames as columns and back.
#![no_main]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use lastwrite_core::{ErrorKind, decode_entries, encode_entries, scratch_merge};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut columns, mut entries, mut winners) = (Vec::new(), Vec::new(), Vec::new());
    if encode_entries(bytes, &mut entries).is_ok() {
        decode_entries(&entries, &mut columns).expect("an own frame");
    }
    let mut frame = bytes.to_vec();
    common::seal(&mut frame);
    if decode_entries(&frame, &mut columns).is_ok() {
        encode_entries(&columns, &mut entries).expect("own columns");
        assert_eq!(common::rows(&entries), common::rows(&frame));
        if let Err(error) = scratch_merge(&entries, &frame, 5_000, 300_000, &mut winners) {
            // Journals, and changes whose header is a difference.
            assert_eq!(error.kind, ErrorKind::UnsupportedFormat);
        }
    }
});
