//! Blocks and manifests that were damaged.

use std::fs;

use nightlatch::rules::EngineManifest;
use nightlatch::store::{BlockReader, BlockRef};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::harness::*;
use crate::support::{events, queries};

/// What may befall a state folder.
#[derive(Debug, Clone)]
enum Harm {
    FlippedBit(Index, u8),
    Truncated(Index),
    Removed,
    /// A digit of the manifest becomes another.
    Digit(Index, u8),
    /// Two numbers of the manifest change places.
    Swapped(Index, Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Harm::FlippedBit(at, bit)),
        1 => any::<Index>().prop_map(Harm::Truncated),
        1 => Just(Harm::Removed),
        2 => (any::<Index>(), 0u8..10).prop_map(|(at, digit)| Harm::Digit(at, digit)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(one, two)| Harm::Swapped(one, two)),
    ]
}

/// Byte ranges of the numbers in a text.
fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match found.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => found.push(at..at + 1),
        }
    }
    found
}

impl Harm {
    /// Does it; says whether anything is different now.
    fn befall(&self, folder: &mut Folder) -> bool {
        let path = folder.segment(folder.n_segments - 1);
        let mut bytes = fs::read(&path).expect("the newest segment");
        let before = (bytes.clone(), folder.manifest.clone());
        match self {
            Self::FlippedBit(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Truncated(at) if !bytes.is_empty() => bytes.truncate(at.index(bytes.len())),
            Self::Removed => bytes.clear(),
            Self::FlippedBit(..) | Self::Truncated(_) => {}
            Self::Digit(at, digit) => {
                let numbers = numbers(&folder.manifest);
                let at = numbers[at.index(numbers.len())].start;
                folder.manifest.replace_range(at..=at, &digit.to_string());
            }
            Self::Swapped(one, two) => {
                let numbers = numbers(&folder.manifest);
                let (one, two) = (one.index(numbers.len()), two.index(numbers.len()));
                let (first, second) =
                    (numbers[one.min(two)].clone(), numbers[one.max(two)].clone());
                let texts = (
                    folder.manifest[first.clone()].to_owned(),
                    folder.manifest[second.clone()].to_owned(),
                );
                folder.manifest.replace_range(second, &texts.0);
                folder.manifest.replace_range(first, &texts.1);
            }
        }
        fs::write(&path, &bytes).expect("the segment can be written");
        if matches!(self, Self::Removed) {
            fs::remove_file(&path).expect("the segment can be removed");
        }
        (bytes, folder.manifest.clone()) != before
    }
}

fn is_removed(harms: &[Harm]) -> bool {
    matches!(harms, [Harm::Removed])
}

#[test]
fn what_is_damaged_is_rebuilt() {
    let texts = prop::collection::vec(queries::rule(), 1..4);
    let harms = prop::collection::vec(harm(), 1..3);
    let strategy = (texts, events::events(80), 1usize..20, any::<Index>(), harms);
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, events, size, at, harms)| {
            let rules = rules(&texts);
            let (mut folder, known_until) = write_after(&rules, &up_to(&events, size, at));
            let mut is_changed = false;
            for harm in &harms {
                is_changed |= folder.has_newest() && harm.befall(&mut folder);
            }
            let mut restored = engine(&rules);
            // A manifest that is none any more is no business of the engine.
            let Ok(manifest) = serde_json::from_str::<EngineManifest>(&folder.manifest) else {
                return Ok(());
            };
            let blocks = BlockReader::new(folder.path());
            let outcome = restored.restore(&manifest, &blocks, known_until);
            // Other harm may have hit evidence alone, which a lane without rows can do without.
            if is_changed
                && matches!(harms[..], [Harm::Digit(..) | Harm::Swapped(..) | Harm::Removed])
            {
                prop_assert!(outcome.kept.is_empty() || is_removed(&harms), "{:?}", harms);
                prop_assert!(!outcome.rebuilding.is_empty(), "{:?}", harms);
            }
            check_rest(restored, &rules, &events, known_until, size)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// A bit of one block is another, and all checksums hold.
fn forge(folder: &mut Folder, which: Index, at: Index, bit: u8) {
    let manifest: EngineManifest = serde_json::from_str(&folder.manifest).expect("a manifest");
    let blocks: Vec<BlockRef> = manifest.blocks().filter(|block| block.n_bytes > 0).collect();
    let Some(block) = blocks.get(which.index(blocks.len().max(1))) else { return };
    let path = folder.segment(block.segment);
    let mut bytes = fs::read(&path).expect("the segment");
    let own = &mut bytes[block.offset as usize..(block.offset + block.n_bytes) as usize];
    own[at.index(block.n_bytes as usize)] ^= 1 << bit;
    let crc32 = crc32fast::hash(own);
    fs::write(&path, &bytes).expect("the segment can be written");
    let text = |crc32: u32| {
        serde_json::to_string(&BlockRef { crc32, ..*block }).expect("a reference is JSON")
    };
    let manifest = folder.manifest.replace(&text(block.crc32), &text(crc32));
    let (head, state) = manifest.split_once(",\"state\":").expect("the state");
    let sum = crc32fast::hash(&state.as_bytes()[..state.len() - 1]);
    let (head, _) = head.split_once("\"crc32\":").expect("a checksum");
    folder.manifest = format!("{head}\"crc32\":{sum},\"state\":{state}");
}

#[test]
fn nonsense_with_a_good_checksum_stops_nothing() {
    let texts = prop::collection::vec(queries::rule(), 1..3);
    let place = (any::<Index>(), any::<Index>(), 0u8..8);
    let strategy = (texts, events::events(60), any::<Index>(), prop::collection::vec(place, 1..4));
    let mut n_refused = 0;
    let refused = std::sync::Mutex::new(&mut n_refused);
    runner(cases().div_ceil(8))
        .run(&strategy, |(texts, events, at, places)| {
            let rules = rules(&texts);
            let (mut folder, known_until) = write_after(&rules, &up_to(&events, 5, at));
            places.iter().for_each(|(which, at, bit)| forge(&mut folder, *which, *at, *bit));
            let mut restored = engine(&rules);
            let outcome = folder.read(&mut restored, known_until);
            **refused.lock().expect("nobody fails while counting") +=
                u32::from(!outcome.rebuilding.is_empty());
            let start = reread(&events, &restored, known_until);
            for batch in batches_from(&events, start, 5) {
                run(&mut restored, &batch, Floats::TenDigits, &mut Vec::new());
            }
            Folder::new().write(&mut restored, |_| false);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(n_refused > cases() / 50, "{n_refused}");
}
