//! Versions and frontiers from outside.
#![no_main]

#[path = "../../core/tests/common/mod.rs"]
mod common;

use lastwrite_core::{ExportOptions, Parts, Value, VersionOrder, compare_versions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut frame = bytes.to_vec();
    common::seal(&mut frame);
    let mut dictionary = common::open(10);
    dictionary.set("k", Value::text("held"), 1_000).expect("a key");
    dictionary.delete("k", 1_000).expect("a key");
    let is_version = compare_versions(&frame, &frame).map(|order| assert_eq!(order, VersionOrder::Equal)).is_ok();
    let (mut out, mut whole) = (Vec::new(), Vec::new());
    let export = ExportOptions::default();
    if dictionary.changes_since(0, Some(&frame), &export, &mut out).is_ok() {
        dictionary.changes_since(0, None, &export, &mut whole).expect("a place");
        assert_eq!(common::rows(&out), common::rows(&whole));
    }
    let mut parts = Parts::default();
    assert_eq!(dictionary.delta(Some(&frame), &ExportOptions::default(), &mut parts).is_ok(), is_version);
    assert_eq!(dictionary.collect_tombstones(&frame, 5_000).is_ok(), is_version);
});
