//! A row's columns depend on that row alone, whatever is in the files.

use super::*;

#[test]
fn agents_are_looked_at_up_to_a_length() {
    let folder = Folder::new();
    let config = EnrichConfig {
        user_agents: Some(folder.write("regexes.yaml", REGEXES)),
        ..EnrichConfig::default()
    };
    let mut stage = Enricher::new(&config).unwrap();
    let agent =
        |before: usize| format!(r#""user_agent":"Mozilla/5.0 {} Firefox/9.1""#, "é".repeat(before));
    let (near, far) = (agent(490), agent(1_900));
    let filled = stage.enrich(batch(&[&near, &far])).unwrap();
    assert_eq!(row(&filled, 0)["agent"], "Firefox");
    assert_eq!(row(&filled, 1)["agent"], "Other");
}

/// Addresses inside and outside of all networks, and what is none.
const ADDRESSES: [&str; 9] = [
    "192.0.2.1",
    "192.0.2.70",
    "192.0.2.200",
    "198.51.100.9",
    "203.0.113.5",
    "2001:db8:1::7",
    "::ffff:192.0.2.1",
    "10.0.0.1",
    "none",
];

fn fields() -> impl Strategy<Value = String> {
    let part = |name: &'static str, values: Vec<&'static str>| {
        let value = prop::option::of(prop::sample::select(values));
        value.prop_map(move |value| value.map(|value| format!("\"{name}\":{value}")))
    };
    let ip = prop::option::of(prop::sample::select(ADDRESSES.to_vec()))
        .prop_map(|ip| ip.map(|ip| format!("\"ip\":\"{ip}\"")));
    (
        ip,
        part("country", vec!["\"FR\"", "\"fr\"", "\"US\"", "\"\""]),
        part("city", vec!["\"Paris\"", "\"Rome\""]),
        part("latitude", vec!["1.5"]),
        part("accuracy_km", vec!["7"]),
        part("asn", vec!["64500", "64501", "-1"]),
        part("network", vec!["\"mine\""]),
        part("user_agent", vec!["\"curl/8\"", "\"Mozilla/5.0 Firefox/9.1\"", "\"\""]),
        part("os", vec!["\"BeOS\""]),
    )
        .prop_map(|(a, b, c, d, e, f, g, h, i)| {
            let parts: Vec<String> = [a, b, c, d, e, f, g, h, i].into_iter().flatten().collect();
            if parts.is_empty() { "\"device\":\"d\"".to_owned() } else { parts.join(",") }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// A row's columns depend on that row alone: not on the batch, nor on what is remembered.
    #[test]
    fn the_stage_is_a_function_of_the_row(rows in prop::collection::vec(fields(), 1..20), at in 0usize..20) {
        let folder = Folder::new();
        let mut config = everything(&folder);
        let mut roomy = Enricher::new(&config).unwrap();
        config.cache_entries = 1;
        let mut forgetful = Enricher::new(&config).unwrap();
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let whole = batch(&rows);
        let expected = roomy.enrich(whole.clone()).unwrap();
        prop_assert_eq!(&roomy.enrich(whole.clone()).unwrap(), &expected);
        prop_assert_eq!(&forgetful.enrich(whole.clone()).unwrap(), &expected);
        let at = at.min(rows.len());
        let parts = [whole.slice(0, at), whole.slice(at, rows.len() - at)];
        let parts = parts.map(|part| forgetful.enrich(part).unwrap());
        prop_assert_eq!(&concat_batches(&schema::event_batch(), &parts).unwrap(), &expected);
        // Nothing that was given has changed.
        for (before, after) in whole.columns().iter().zip(expected.columns()) {
            for row in (0..rows.len()).filter(|row| before.is_valid(*row)) {
                prop_assert!(before.slice(row, 1) == after.slice(row, 1), "row {row}");
            }
        }
        // What is filled stays as it is.
        prop_assert_eq!(&roomy.enrich(expected.clone()).unwrap(), &expected);
    }

    /// A damaged MMDB is refused, or answers; it never panics nor hangs.
    #[test]
    fn a_damaged_mmdb_never_panics(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6),
        bits in prop::sample::select(vec![24u32, 28, 32]),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = Folder::new();
        let mut bytes = cities().bytes(bits, "City");
        for (index, bit) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
        }
        bytes.truncate(end.map_or(bytes.len(), |end| end.index(bytes.len())));
        let city = vec![folder.write("city.mmdb", bytes)];
        let config = EnrichConfig { city, ..EnrichConfig::default() };
        if let Ok(mut stage) = Enricher::new(&config) {
            let fields: Vec<String> = ADDRESSES.iter().map(|ip| format!("\"ip\":\"{ip}\"")).collect();
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            stage.enrich(batch(&fields)).unwrap();
        }
    }

    /// Whatever stands in a file of text is refused, or read.
    #[test]
    fn odd_text_never_panics(
        text in prop_oneof![
            "[0-9a-fA-F.:/,\"\n#-]{0,80}",
            "([0-9]{1,3}\\.[0-9]{1,3}\\.2\\.[0-9]{1,3}[,/-]){0,3}[0-9A-Z,\"]{0,12}\n{0,2}",
            "(AS)?[0-9]{0,12}[ ,;#]?.{0,12}",
            "\\PC{0,60}",
        ],
        yaml in "(user_agent_parsers|os_parsers|device_parsers|- regex|: |\n|  |'|\\[|\\(|\\{0,300\\}|\\$1|.){0,30}",
    ) {
        let folder = Folder::new();
        let file = folder.write("x", &text);
        let network = vec![NetworkListConfig { class: NetworkClass::Vpn, file: file.clone() }];
        let configs = [
            EnrichConfig { city: vec![file.clone()], ..EnrichConfig::default() },
            EnrichConfig { asn: vec![file], ..EnrichConfig::default() },
            EnrichConfig { network, ..EnrichConfig::default() },
            EnrichConfig { user_agents: Some(folder.write("y", &yaml)), ..EnrichConfig::default() },
        ];
        for config in configs {
            if let Ok(mut stage) = Enricher::new(&config) {
                stage.enrich(batch(&[r#""ip":"192.0.2.1","user_agent":"x""#])).unwrap();
            }
        }
    }

    /// An edited file of expressions is refused, or its expressions are used.
    #[test]
    fn edited_expressions_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 1..4),
    ) {
        let folder = Folder::new();
        let mut yaml: Vec<char> = REGEXES.chars().collect();
        for (index, edit) in edits {
            let index = index.index(yaml.len());
            yaml[index] = edit;
        }
        let user_agents = Some(folder.write("y", yaml.into_iter().collect::<String>()));
        let config = EnrichConfig { user_agents, ..EnrichConfig::default() };
        if let Ok(mut stage) = Enricher::new(&config) {
            stage.enrich(batch(&[r#""user_agent":"Mozilla/5.0 (Android 9) Firefox/9.1 bot""#])).unwrap();
        }
    }
}
