//! Events as JSON, the same for a number each time.

/// A login as a camera vendor may send it, 320 bytes with its names.
pub(crate) fn small(index: u64) -> String {
    let (account, address, second) =
        (index * 7_919 % 100_000, index * 104_729 % 65_536, index % 60);
    format!(
        r#"{{"time":"2026-01-02T03:04:{second:02}.{:06}Z","action":"login","outcome":"failure","reason":"bad_password","account":"user-{account:06}@example.org","ip":"198.51.{}.{}","user_agent":"VendorApp/5.2.1 (iPhone; iOS 19.1)","device":"d-{account:08x}","session":"s-{index:012x}","event_id":"{index:032x}","source":"auth"}}"#,
        index % 1_000_000,
        address / 256,
        address % 256,
    )
}

/// The same with what else a sender may know, 1.2 kB.
pub(crate) fn big(index: u64) -> String {
    let mut text = small(index);
    text.pop();
    let details = "x".repeat(500);
    text.push_str(&format!(
        r#","actor":"agent-{index}","actor_type":"employee","tls_fingerprint":"t13d1516h2_8daaf6152771_02713d6af862","resource":"camera-{index:08}","resource_label":"Master \"Bedroom\"","recorded_at":"2026-01-01T00:00:00Z","ticket":"CASE-{index:010}","country":"DE","city":"Frankfurt am Main","latitude":50.1155,"longitude":8.6842,"asn":3320,"as_org":"Deutsche Telekom AG","network":"residential","details":{{"flags":[1,2,3],"text":"{details}"}}}}"#
    ));
    text
}
