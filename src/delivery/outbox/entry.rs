//! One entry as bytes: a mark, the length, a checksum, then the revision with its native JSON.

use memchr::memmem;

use crate::event::TimeMicros;

/// Begins every entry. No text holds its first byte, so nobody can forge an entry inside of an alert.
const MARK: [u8; 4] = [0xF5, b'n', b'l', 0x00];
/// Mark, length of the body, CRC-32 of length and body.
const HEAD: usize = 12;
/// Sequence, `at`, `appended_at`, revision, length of the id.
const FIXED: usize = 34;
/// A longer body is a damaged length.
const BODY_MAX: usize = 64 << 20;

/// One revision of an alert in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number: 0, 1, ... in the order of appending.
    pub sequence: u64,
    /// The event time at which the revision was due.
    pub at: TimeMicros,
    /// The clock when it was appended.
    pub appended_at: TimeMicros,
    /// Id of the alert.
    pub id: String,
    /// Its revision.
    pub revision: u64,
    /// The alert's native JSON, one line without the line feed.
    pub native: Vec<u8>,
}

/// A revision that is to become an entry.
#[derive(Debug)]
pub(super) struct NewEntry<'a> {
    pub(super) at: TimeMicros,
    pub(super) id: &'a str,
    pub(super) revision: u64,
    pub(super) native: Vec<u8>,
}

impl NewEntry<'_> {
    /// How many bytes it takes on disk.
    pub(super) fn n_bytes(&self) -> usize {
        HEAD + FIXED + self.id.len() + self.native.len()
    }

    /// Writes it behind what is there.
    pub(super) fn write(&self, sequence: u64, appended_at: TimeMicros, out: &mut Vec<u8>) {
        let id_length = u16::try_from(self.id.len()).unwrap_or(u16::MAX);
        let id = &self.id.as_bytes()[..usize::from(id_length)];
        let mut body = Vec::with_capacity(FIXED + id.len() + self.native.len());
        body.extend(sequence.to_le_bytes());
        body.extend(self.at.to_le_bytes());
        body.extend(appended_at.to_le_bytes());
        body.extend(self.revision.to_le_bytes());
        body.extend(id_length.to_le_bytes());
        body.extend(id);
        body.extend(&self.native);
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        out.extend(MARK);
        out.extend(length);
        out.extend(checksum(length, &body).to_le_bytes());
        out.extend(body);
    }
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

/// What stands at the start of some bytes.
pub(super) enum Step {
    /// A sound entry of so many bytes.
    Entry(Entry, usize),
    /// The start of an entry, or nothing.
    Short,
    /// Something else.
    Damaged,
}

/// Looks at the start of the bytes.
pub(super) fn step(bytes: &[u8]) -> Step {
    let known = bytes.len().min(MARK.len());
    if bytes[..known] != MARK[..known] {
        return Step::Damaged;
    }
    let (Some(length), Some(sum)) = (array::<4>(bytes, 4), array::<4>(bytes, 8)) else {
        return Step::Short;
    };
    let n_bytes = u32::from_le_bytes(length) as usize;
    if !(FIXED..=BODY_MAX).contains(&n_bytes) {
        return Step::Damaged;
    }
    let Some(body) = bytes.get(HEAD..HEAD + n_bytes) else { return Step::Short };
    if checksum(length, body) != u32::from_le_bytes(sum) {
        return Step::Damaged;
    }
    body_of(body).map_or(Step::Damaged, |entry| Step::Entry(entry, HEAD + n_bytes))
}

fn body_of(body: &[u8]) -> Option<Entry> {
    let id_length = usize::from(u16::from_le_bytes(array(body, 32)?));
    let id = body.get(FIXED..FIXED + id_length)?;
    Some(Entry {
        sequence: u64::from_le_bytes(array(body, 0)?),
        at: i64::from_le_bytes(array(body, 8)?),
        appended_at: i64::from_le_bytes(array(body, 16)?),
        revision: u64::from_le_bytes(array(body, 24)?),
        id: String::from_utf8(id.to_vec()).ok()?,
        native: body.get(FIXED + id_length..)?.to_vec(),
    })
}

fn array<const N: usize>(bytes: &[u8], from: usize) -> Option<[u8; N]> {
    bytes.get(from..from + N)?.try_into().ok()
}

/// Where the next sound entry starts behind a damaged one.
pub(super) fn resume(bytes: &[u8]) -> Option<usize> {
    let behind = bytes.get(1..)?;
    let marks = memmem::find_iter(behind, &MARK).map(|at| at + 1);
    marks.into_iter().find(|at| matches!(step(&bytes[*at..]), Step::Entry(..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(sequence: u64) -> Vec<u8> {
        let native = format!("{{\"revision\":{sequence}}}").into_bytes();
        let mut out = Vec::new();
        let entry = NewEntry { at: -5, id: "0123", revision: 7, native };
        entry.write(sequence, 9, &mut out);
        assert_eq!(out.len(), entry.n_bytes());
        out
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let Step::Entry(entry, length) = step(&bytes(3)) else { panic!("no entry") };
        assert_eq!(length, bytes(3).len());
        let expected = Entry {
            sequence: 3,
            at: -5,
            appended_at: 9,
            id: "0123".to_owned(),
            revision: 7,
            native: b"{\"revision\":3}".to_vec(),
        };
        assert_eq!(entry, expected);
    }

    #[test]
    fn each_prefix_is_short_and_each_flipped_bit_is_seen() {
        let whole = bytes(1);
        for length in 0..whole.len() {
            assert!(matches!(step(&whole[..length]), Step::Short), "{length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(step(&flipped), Step::Entry(..)), "bit {bit}");
        }
    }

    #[test]
    fn the_next_entry_is_found_behind_a_damaged_one() {
        let mut two = bytes(1);
        let first = two.len();
        two.extend(bytes(2));
        two[5] ^= 1;
        assert_eq!(resume(&two), Some(first));
        assert_eq!(resume(&two[..first]), None);
        assert_eq!(resume(b""), None);
    }
}
