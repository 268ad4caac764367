//! What a dictionary holds, by the rules alone: maps, and no thought of speed.

use std::collections::BTreeMap;

/// Orders as the rank of entries does: HLC, replica of the stamp, canonical bytes (a tombstone is the byte 0).
pub type Write = (u64, [u8; 16], Vec<u8>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oracle {
    pub entries: BTreeMap<String, Write>,
    pub prefixes: BTreeMap<String, Write>,
    pub clock: u64,
}

impl Oracle {
    pub fn tick(&mut self, now: u64) -> u64 {
        self.clock = (self.clock + 1).max(now << 16);
        self.clock
    }

    pub fn value(&self, key: &str) -> Option<&[u8]> {
        self.entries.get(key).map(|write| write.2.as_slice()).filter(|canonical| *canonical != [0])
    }

    pub fn live(&self) -> impl DoubleEndedIterator<Item = (&str, &[u8])> {
        self.entries
            .iter()
            .filter(|(_, write)| write.2 != [0])
            .map(|(key, write)| (key.as_str(), write.2.as_slice()))
    }

    pub fn covers(&self, key: &str, write: &Write) -> bool {
        self.prefixes
            .iter()
            .any(|(prefix, over)| key.starts_with(prefix) && (write.0, write.1) <= (over.0, over.1))
    }

    pub fn put(&mut self, key: &str, write: Write) {
        if !self.covers(key, &write) && self.entries.get(key).is_none_or(|held| *held < write) {
            self.entries.insert(key.to_owned(), write);
        }
    }

    pub fn put_prefix(&mut self, prefix: &str, write: Write) {
        let stamp = (write.0, write.1);
        let is_covered = |(other, over): (&String, &Write)| {
            other != prefix && prefix.starts_with(other.as_str()) && stamp <= (over.0, over.1)
        };
        if self.prefixes.iter().any(is_covered)
            || self.prefixes.get(prefix).is_some_and(|held| *held >= write)
        {
            return;
        }
        self.prefixes.retain(|other, held| !other.starts_with(prefix) || (held.0, held.1) > stamp);
        self.prefixes.insert(prefix.to_owned(), write);
        self.entries.retain(|key, held| !key.starts_with(prefix) || (held.0, held.1) > stamp);
    }

    pub fn join(&mut self, other: &Self) {
        for (prefix, write) in &other.prefixes {
            self.put_prefix(prefix, write.clone());
        }
        for (key, write) in &other.entries {
            self.put(key, write.clone());
        }
        let greatest =
            other.entries.values().chain(other.prefixes.values()).map(|write| write.0).max();
        self.clock = self.clock.max(greatest.unwrap_or(0));
    }
}
