//! Replaying whatever comes, and telling it again.
#![no_main]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use lastwrite_core::Value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut frame = bytes.to_vec();
    common::seal(&mut frame);
    let mut dictionary = common::open(10);
    dictionary.set("k", Value::text("held"), 1_000).expect("a key");
    dictionary.delete_prefix("d/", 1_000).expect("a prefix");
    let before = common::state(&mut dictionary);
    if dictionary.replay(&frame).is_err() {
        assert_eq!(common::state(&mut dictionary), before);
        return;
    }
    assert!(common::journal(&mut dictionary).is_empty());
    let whole = common::whole_journal(&mut dictionary);
    let mut again = common::open(11);
    again.replay(&whole).expect("an own journal");
    assert_eq!(common::whole_journal(&mut again), whole);
    let rows = common::rows(&common::snapshot(&mut again));
    assert_eq!(common::digest_of(&rows), dictionary.digest());
});
