//! Merging and re-reading whatever comes.
#![no_main]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use lastwrite_core::{MergeOptions, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut frame = bytes.to_vec();
    common::seal(&mut frame);
    let mut dictionary = common::open(10);
    dictionary.set("k", Value::text("held"), 1_000).expect("a key");
    dictionary.delete_prefix("d/", 1_000).expect("a prefix");
    let everything = MergeOptions { adopt: true, repair: true, difference: true };
    for options in [common::PLAIN, common::FOLLOWING, everything] {
        let before = common::state(&mut dictionary);
        if dictionary.merge(&frame, 5_000, options).is_err() {
            assert_eq!(common::state(&mut dictionary), before);
        }
    }
    let before = common::state(&mut dictionary);
    if dictionary.reread(&[&frame], 5_000).is_err() {
        assert_eq!(common::state(&mut dictionary), before);
    }
    let rows = common::rows(&common::snapshot(&mut dictionary));
    assert_eq!(common::digest_of(&rows), dictionary.digest());
});
