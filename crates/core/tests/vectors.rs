//! The vectors of test/vectors, as the engines in TypeScript's tests read them: see test/README.md.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use common::{from_hex, hex};
use lastwrite_core::{
    Dictionary, Error, ErrorKind, ExportOptions, JournalOptions, MergeOptions, MergeReport,
    Options, Parts, Range, ReplicaId, Result, Stamp, Value, VersionOrder, compare_versions,
    decode_entries, decode_number, encode_entries, encode_number, scratch_merge,
};
use serde_json::{Map, Value as Json, json};

#[test]
fn histories_give_the_bytes_of_the_vectors() {
    let mut files: Vec<PathBuf> = fs::read_dir(folder().join("histories"))
        .expect("the folder")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let mut histories = 0;
    let mut failures = Vec::new();
    for file in
        files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json"))
    {
        for history in list(&read(file)) {
            failures.extend(play(history).err());
            histories += 1;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(histories >= 100, "only {histories} histories were found");
}

#[test]
fn values_are_taken_or_refused_as_the_vectors_say() {
    for vector in list(&read(&folder().join("values.json"))) {
        let canonical = from_hex(text(vector, "canonical"));
        let value = Value::from_canonical(&canonical);
        let Some(described) = vector.get("value") else {
            assert_eq!(
                value.map_err(|error| error.kind),
                Err(ErrorKind::InvalidValue),
                "{}",
                text(vector, "name")
            );
            continue;
        };
        let value = value.unwrap_or_else(|error| panic!("{}: {error}", text(vector, "name")));
        let mut dictionary = common::open(1);
        dictionary.set("key", value, 1_000).expect("a key");
        assert_eq!(dictionary.get("key"), Some(value));
        if text(described, "type") == "number" {
            let number: f64 = text(described, "value").parse().expect("a number");
            let mut buffer = [0; 8];
            assert_eq!(encode_number(number, &mut buffer), value, "{}", text(vector, "name"));
            let back = decode_number(&value).expect("a number");
            assert!(back.to_bits() == number.to_bits() || (back.is_nan() && number.is_nan()));
        }
    }
}

/// Plays a history as far as it goes; the error is the first answer that is another one.
fn play(history: &Json) -> core::result::Result<(), String> {
    let name = text(history, "name");
    let mut player = Player::default();
    for (index, step) in list(&history["steps"]).iter().enumerate() {
        let answer = match player.call(step) {
            Ok(answer) => {
                if let Some(name) = step.get("as").and_then(Json::as_str) {
                    player.kept.insert(name.to_owned(), frames_of(&answer));
                }
                answer
            }
            Err(error) => json!({ "error": code(error) }),
        };
        let expected = step.get("gives").unwrap_or(&Json::Null);
        if answer != *expected {
            return Err(format!("{name}: step {index} gives {answer}: {step}"));
        }
    }
    for (replica, state) in history["end"].as_object().expect("the end") {
        let dictionary = player.replicas.get_mut(replica).expect("a replica that was opened");
        let end = json!({
            "digest": hex(&dictionary.digest()),
            "version": hex(&common::version(dictionary)),
            "snapshot": [hex(&common::snapshot(dictionary))],
            "size": dictionary.len(),
            "head": dictionary.head(),
        });
        if end != *state {
            return Err(format!("{name}: in the end {replica} is {end}, not {state}"));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Player {
    replicas: BTreeMap<String, Dictionary>,
    kept: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Player {
    /// Makes the call of a step, and answers what it gives as JSON: null where that is nothing.
    fn call(&mut self, step: &Json) -> Result<Json> {
        let mut out = Vec::new();
        let bytes = |out: Vec<u8>| Json::String(hex(&out));
        match text(step, "do") {
            "open" => {
                let options = Options {
                    replica_id: id(step, "replica"),
                    spare_id: id(step, "spare"),
                    drift_max: step.get("driftMaxMs").map_or(common::DRIFT_MAX, whole),
                    hash_seed: [3, 4],
                };
                let dictionary = match step.get("snapshot") {
                    Some(_) => {
                        let frames = self.frames(step, "snapshot");
                        Dictionary::load(&options, &borrowed(&frames))?
                    }
                    None => Dictionary::new(&options),
                };
                self.replicas.insert(text(step, "on").to_owned(), dictionary);
                Ok(Json::Null)
            }
            "decodeEntries" => {
                decode_entries(&self.frame(step, "frame"), &mut out).map(|()| bytes(out))
            }
            "encodeEntries" => {
                encode_entries(&self.frame(step, "columns"), &mut out).map(|()| bytes(out))
            }
            "scratchMerge" => {
                let (held, frame) = (self.frame(step, "held"), self.frame(step, "frame"));
                let scratch = scratch_merge(
                    &held,
                    &frame,
                    whole(&step["now"]),
                    whole(&step["driftMaxMs"]),
                    &mut out,
                )?;
                let difference = hex(&scratch.digest_difference);
                Ok(
                    json!({ "winners": hex(&out), "digestDifference": difference, "refused": scratch.refused }),
                )
            }
            "compareVersions" => {
                let order = compare_versions(&self.frame(step, "a"), &self.frame(step, "b"))?;
                Ok(Json::from(match order {
                    VersionOrder::Equal => "equal",
                    VersionOrder::Before => "before",
                    VersionOrder::After => "after",
                    VersionOrder::Concurrent => "concurrent",
                }))
            }
            _ => self.call_on(step),
        }
    }

    #[expect(clippy::too_many_lines, reason = "a table of the calls")]
    fn call_on(&mut self, step: &Json) -> Result<Json> {
        let frame = |name: &str| self.frame(step, name);
        let given: BTreeMap<&str, Vec<u8>> = ["frame", "base", "horizon", "since"]
            .into_iter()
            .filter(|&name| step.get(name).is_some())
            .map(|name| (name, frame(name)))
            .collect();
        let parts = step.get("parts").map(|_| self.frames(step, "parts"));
        let dictionary =
            self.replicas.get_mut(text(step, "on")).expect("a replica that was opened");
        let now = step.get("now").map_or(0, whole);
        let mut out = Vec::new();
        let bytes = |out: &[u8]| Json::String(hex(out));
        Ok(match text(step, "do") {
            "set" => {
                let value = owned_value(&step["value"]);
                written(dictionary.set(text(step, "key"), Value::from_canonical(&value)?, now)?)
            }
            "delete" => written(dictionary.delete(text(step, "key"), now)?),
            "writeAt" => {
                let value = step.get("value").map(owned_value);
                let value = value.as_deref().map(Value::from_canonical).transpose()?;
                let stamp = Stamp { hlc: hlc(step)?, replica: id(step, "replica") };
                written(dictionary.write_at(text(step, "key"), value, stamp, now)?)
            }
            "deletePrefix" => Json::from(dictionary.delete_prefix(text(step, "prefix"), now)?),
            "get" => {
                check_key(step)?;
                let value = dictionary.get(text(step, "key"));
                bytes(&value.map_or(Vec::new(), |value| [&[value.tag], value.payload].concat()))
            }
            "has" => {
                check_key(step)?;
                Json::from(dictionary.has(text(step, "key")))
            }
            "size" => Json::from(dictionary.len()),
            "stampOf" => {
                check_key(step)?;
                let stamp = dictionary.stamp_of(text(step, "key"));
                bytes(&stamp.map_or(Vec::new(), |Stamp { hlc, replica }| {
                    [&hlc.to_le_bytes()[..], &replica.0].concat()
                }))
            }
            "scan" => {
                let range = Range {
                    prefix: step.get("prefix").and_then(Json::as_str).unwrap_or(""),
                    from: step.get("from").and_then(Json::as_str),
                    to: step.get("to").and_then(Json::as_str),
                    reverse: step.get("reverse").is_some(),
                    limit: step
                        .get("limit")
                        .map_or(1_000, |limit| usize::try_from(whole(limit)).expect("small")),
                };
                dictionary.scan(&range, &mut out);
                bytes(&out)
            }
            "begin" => dictionary.begin().map(|()| Json::Null)?,
            "commit" => dictionary.commit().map(|()| Json::Null)?,
            "rollback" => dictionary.rollback().map(|()| Json::Null)?,
            "merge" => {
                let options = MergeOptions {
                    adopt: step.get("adopt").is_some(),
                    repair: step.get("repair").is_some(),
                    difference: step.get("difference").is_some(),
                };
                reported(&dictionary.merge(&given["frame"], now, options)?)
            }
            "reread" => reported(&dictionary.reread(&borrowed(&parts.expect("parts")), now)?),
            "refusals" => bytes(dictionary.refusals()),
            "patch" => bytes(dictionary.patch()),
            "watch" => {
                let prefixes: Vec<&str> =
                    list(&step["prefixes"]).iter().filter_map(Json::as_str).collect();
                dictionary.watch(&prefixes);
                Json::Null
            }
            "version" => bytes(&common::version(dictionary)),
            "horizon" => {
                dictionary.horizon(&mut out);
                bytes(&out)
            }
            "frontier" => {
                dictionary.frontier(&mut out);
                bytes(&out)
            }
            "collector" => bytes(dictionary.collector().as_ref().map_or(&[], |id| &id[..])),
            "setCollector" => {
                dictionary.set_collector(id(step, "store").0, now).map(|()| Json::Null)?
            }
            "digest" => bytes(&dictionary.digest()),
            "replicaId" => bytes(&dictionary.replica_id().0),
            "setSpareId" => {
                dictionary.set_spare_id(id(step, "id"));
                Json::Null
            }
            "delta" => {
                let mut parts = Parts::default();
                dictionary.delta(
                    given.get("base").map(Vec::as_slice),
                    &export_options(step)?,
                    &mut parts,
                )?;
                parts.iter().map(bytes).collect()
            }
            "snapshot" => {
                let mut parts = Parts::default();
                dictionary.snapshot(&export_options(step)?, &mut parts)?;
                parts.iter().map(bytes).collect()
            }
            "changesSince" => {
                let seq = step["seq"].as_u64().ok_or(invalid())?;
                let since = given.get("since").map(Vec::as_slice);
                let changes =
                    dictionary.changes_since(seq, since, &export_options(step)?, &mut out)?;
                json!({ "frame": hex(&out), "next": changes.next, "atHead": changes.at_head })
            }
            "head" => Json::from(dictionary.head()),
            "journal" => {
                let limit = export_options(step)?.part_bytes_max;
                let options =
                    JournalOptions { whole: step.get("whole").is_some(), part_bytes_max: limit };
                let attributes = step
                    .get("attributes")
                    .map_or(Vec::new(), |_| from_hex(text(step, "attributes")));
                let mut parts = Parts::default();
                dictionary.journal(&attributes, &options, &mut parts)?;
                parts.iter().map(bytes).collect()
            }
            "isJournalBroken" => Json::from(dictionary.is_journal_broken()),
            "replay" => dictionary.replay(&given["frame"]).map(|()| Json::Null)?,
            "setReplicaId" => dictionary.set_replica_id(id(step, "id")).map(|()| Json::Null)?,
            "collect" => Json::from(dictionary.collect_tombstones(&given["horizon"], now)?),
            "restamp" => Json::from(dictionary.restamp(now)?),
            "fingerprints" => {
                dictionary.fingerprints(&seed(step), &from_hex(text(step, "ranges")), &mut out)?;
                bytes(&out)
            }
            "hashes" => {
                dictionary.hashes(&seed(step), &from_hex(text(step, "ranges")), &mut out)?;
                bytes(&out)
            }
            "entriesByHash" => {
                let hashes = from_hex(text(step, "hashes"));
                dictionary.entries_by_hash(
                    &seed(step),
                    &hashes,
                    &export_options(step)?,
                    &mut out,
                )?;
                bytes(&out)
            }
            other => panic!("there is no call {other}"),
        })
    }

    /// `$name`, one of them by `$name.1`, or hex.
    fn frames(&self, step: &Json, name: &str) -> Vec<Vec<u8>> {
        let given = match &step[name] {
            Json::Array(given) => given.clone(),
            given => vec![given.clone()],
        };
        given.iter().flat_map(|frame| self.resolve(frame.as_str().expect("a frame"))).collect()
    }

    fn frame(&self, step: &Json, name: &str) -> Vec<u8> {
        let mut frames = self.frames(step, name);
        assert_eq!(frames.len(), 1, "one frame in {step}");
        frames.remove(0)
    }

    fn resolve(&self, text: &str) -> Vec<Vec<u8>> {
        let Some(name) = text.strip_prefix('$') else { return vec![from_hex(text)] };
        let (name, index) =
            name.split_once('.').map_or((name, None), |(name, index)| (name, Some(index)));
        let kept = &self.kept[name];
        index.map_or_else(
            || kept.clone(),
            |index| vec![kept[index.parse::<usize>().expect("an index")].clone()],
        )
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/vectors")
}

fn read(file: &Path) -> Json {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).expect("a list")
}

fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("{json} needs a text: {name}"))
}

fn whole(json: &Json) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("{json} is no whole number"))
}

fn id(step: &Json, name: &str) -> ReplicaId {
    ReplicaId(from_hex(&format!("{:0>32}", text(step, name))).try_into().expect("16 bytes"))
}

fn seed(step: &Json) -> [u8; 16] {
    from_hex(text(step, "seed")).try_into().expect("16 bytes")
}

fn borrowed(frames: &[Vec<u8>]) -> Vec<&[u8]> {
    frames.iter().map(Vec::as_slice).collect()
}

/// What a value of JSON is as canonical bytes: a primitive, `{ canonical }`, or a number that JSON lacks as `{ number }`.
fn owned_value(json: &Json) -> Vec<u8> {
    let of_number = |number: f64| {
        let mut buffer = [0; 8];
        let value = encode_number(number, &mut buffer);
        [&[value.tag], value.payload].concat()
    };
    match json {
        Json::Null => vec![1],
        Json::Bool(value) => vec![2 + u8::from(*value)],
        Json::Number(number) => of_number(number.as_f64().expect("a number")),
        Json::String(text) => [&[6], text.as_bytes()].concat(),
        other => match other.get("number").and_then(Json::as_str) {
            Some(number) => of_number(number.parse().expect("a number")),
            None => from_hex(text(other, "canonical")),
        },
    }
}

/// The bindings see to what has no place in the types of the core: numbers out of range, and the keys of calls that only read.
fn export_options(step: &Json) -> Result<ExportOptions> {
    let limit = |name: &str| match step.get(name) {
        None => Ok(u64::MAX),
        Some(limit) => limit.as_u64().ok_or(invalid()),
    };
    Ok(ExportOptions {
        part_bytes_max: limit("partBytesMax")?,
        stamp_limit: limit("stampLimitMs")?,
    })
}

fn hlc(step: &Json) -> Result<u64> {
    let number = |name: &str, bits: u32| {
        step[name].as_u64().filter(|number| number >> bits == 0).ok_or(invalid())
    };
    Ok(number("millis", 48)? << 16 | number("counter", 16)?)
}

fn check_key(step: &Json) -> Result<()> {
    lastwrite_core::host::key(text(step, "key").as_bytes()).map(|_| ())
}

fn invalid() -> Error {
    Error { kind: ErrorKind::InvalidArgument, reason: "a number is negative or not whole" }
}

fn written(written: lastwrite_core::Written) -> Json {
    Json::from(u8::from(written.won) | u8::from(written.clock_ahead && written.won) << 1)
}

fn reported(report: &MergeReport) -> Json {
    json!({
        "applied": report.applied,
        "ignored": report.ignored,
        "refusedCount": report.refused,
        "complete": report.complete,
        "cloned": report.cloned,
        "patched": report.patched,
    })
}

fn frames_of(answer: &Json) -> Vec<Vec<u8>> {
    let frame = |frame: &Json| from_hex(frame.as_str().expect("hex"));
    match answer {
        Json::Array(frames) => frames.iter().map(frame).collect(),
        Json::Object(members) => vec![frame(member(members, "frame"))],
        answer => vec![frame(answer)],
    }
}

fn member<'a>(members: &'a Map<String, Json>, name: &str) -> &'a Json {
    members.get(name).expect("only bytes are kept")
}

/// The code and, for a merge or re-read below the horizon, the side: what TypeScript's errors say.
fn code(error: Error) -> String {
    let side = match error.kind {
        ErrorKind::ReceiverBelowHorizon => " receiver",
        ErrorKind::SenderBelowHorizon => " sender",
        _ => "",
    };
    format!("{}{side}", error.kind.code())
}
