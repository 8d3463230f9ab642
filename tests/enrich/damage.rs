//! Files that cannot be used are refused with place and way out; what is damaged never panics.

use super::*;

/// What is said of a file that cannot be used.
fn refusal(kind: DataKind, path: &Path) -> String {
    let file = path.to_owned();
    let mut config = EnrichConfig::default();
    match kind {
        DataKind::City => config.city = vec![file],
        DataKind::Asn => config.asn = vec![file],
        DataKind::Network => {
            config.network = vec![NetworkListConfig { class: NetworkClass::Vpn, file }];
        }
        DataKind::UserAgents => config.user_agents = Some(file),
    }
    let error = Enricher::new(&config).err().unwrap_or_else(|| panic!("{kind:?}: {path:?}"));
    assert_eq!(error.exit_code(), 64);
    assert!(error.place.as_deref().unwrap_or_default().contains(&*path.to_string_lossy()));
    error.to_string()
}

#[test]
fn files_that_cannot_be_used_are_told_with_place_and_way_out() {
    use DataKind::*;
    let folder = Folder::new();
    let whole = cities().bytes(24, "City");
    let half = whole[..whole.len() / 2].to_vec();
    let mut holed = whole.clone();
    let tree = cities_tree_bytes(&whole);
    holed[tree..tree + 60].fill(0xFF);
    let cases: [(DataKind, &str, Vec<u8>, &str); 15] = [
        (City, "cut.mmdb", half, "an MMDB file is damaged"),
        (City, "holed.mmdb", holed, "an MMDB file is damaged"),
        (City, "zip.csv", vec![0x1F, 0x8B, 8, 0, 0xFF], "neither MMDB nor text"),
        (City, "asn.mmdb", systems().bytes(24, "ASN"), "belongs into `enrich.asn`"),
        (Asn, "city.mmdb", whole, "belongs into `enrich.city`"),
        (City, "empty.csv", Vec::new(), "a data file is empty"),
        (City, "odd.csv", b"a,b,c,d,e,f,g".to_vec(), "unknown layout"),
        (City, "bad.csv", b"192.0.2.0,192.0.2.9,DE\nx,y,DE\n".to_vec(), "bad.csv:2 "),
        (City, "turned.csv", b"192.0.2.9,192.0.2.0,DE\n".to_vec(), "turned.csv:1 "),
        (City, "quote.csv", b"192.0.2.0,192.0.2.9,\"DE\n".to_vec(), "a quote is not closed"),
        (Network, "list.txt", b"192.0.2.1\nexample.org\n".to_vec(), "list.txt:2 "),
        (Network, "none.txt", b"# nothing\n".to_vec(), "a list of networks is empty"),
        (UserAgents, "a.yaml", b"- x".to_vec(), "the expressions for user agents"),
        (UserAgents, "b.yaml", REGEXES.replace("(Fire", "(?P<Fire").into(), "the expressions for"),
        (UserAgents, "c.yaml", REGEXES.replace("os_p", "so_p").into(), "os_parsers"),
    ];
    for (kind, name, bytes, expected) in cases {
        let text = refusal(kind, &folder.write(name, bytes));
        assert!(text.contains(expected), "{name}: {text}");
    }
    for kind in [City, Asn, Network, UserAgents] {
        let text = refusal(kind, &folder.0.path().join("gone"));
        assert!(text.contains("a data file cannot be read") && text.contains("hint:"), "{text}");
        refusal(kind, folder.0.path());
    }
}

/// Where the records of a file begin.
fn cities_tree_bytes(file: &[u8]) -> usize {
    let zeros = file.windows(16).position(|window| window == [0; 16]);
    zeros.unwrap() + 16
}
