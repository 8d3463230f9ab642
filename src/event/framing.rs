//! The header that schema registries put before a JSON value.

/// A zero byte and the number of a schema.
const NUMBERED: (u8, usize) = (0, 5);
/// A one, and a schema's GUID.
const NAMED: (u8, usize) = (1, 17);

/// The JSON inside a framed record; any other record as it is. No JSON begins with these bytes, and
/// the registry is not asked: an event says by itself what it is.
pub(super) fn payload(record: &[u8]) -> &[u8] {
    let frame = [NUMBERED, NAMED].into_iter().find(|(magic, _)| record.first() == Some(magic));
    let inner = frame.and_then(|(_, n_bytes)| record.get(n_bytes..));
    inner.filter(|inner| inner.trim_ascii_start().starts_with(b"{")).unwrap_or(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_off_before_json_only() {
        let guid = [b"\x01".as_slice(), &[0xab; 16], b" {}"].concat();
        for (record, expected) in [
            (&b"\x00\x00\x00\x00\x07{}"[..], &b"{}"[..]),
            (b"\x00{{{{\n {\"a\":1}", b"\n {\"a\":1}"),
            (&guid, b" {}"),
            (b"{}", b"{}"),
            (b"\x00\x00\x00\x00\x07[]", b"\x00\x00\x00\x00\x07[]"),
            (b"\x00\x00{}", b"\x00\x00{}"),
            (b"\x01{}", b"\x01{}"),
            (b"", b""),
        ] {
            assert_eq!(payload(record), expected, "{record:?}");
        }
    }
}
