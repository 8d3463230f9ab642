//! The programs that talk to the service: agents, systems, TLS fingerprints.

use super::super::event::{Millis, push_hex};
use super::super::random::mix;
use super::event::WEEK;

/// Versions that there are of each program, a new one every two weeks.
const VERSIONS: u16 = 8;

/// What a program is called, `{}` stands for its version.
struct Kind {
    agent: &'static str,
    name: &'static str,
    system: &'static str,
    device: &'static str,
    /// Versions after which its TLS library changes; 0: it never does.
    tls_every: u16,
}

const fn kind(
    agent: &'static str,
    name: &'static str,
    system: &'static str,
    device: &'static str,
    tls_every: u16,
) -> Kind {
    Kind { agent, name, system, device, tls_every }
}

const KINDS: [Kind; 20] = [
    kind("HearthApp/5.{}.0 (iPhone15,2; iOS 17.1)", "HearthApp", "iOS", "phone", 0),
    kind("HearthApp/5.{}.0 (iPhone13,1; iOS 16.7)", "HearthApp", "iOS", "phone", 0),
    kind("HearthApp/5.{}.1 (Android 14; Pixel 8)", "HearthApp", "Android", "phone", 0),
    kind("HearthApp/5.{}.1 (Android 13; SM-A546B)", "HearthApp", "Android", "phone", 0),
    kind("HearthApp/5.{}.1 (Android 12; SM-T870)", "HearthApp", "Android", "tablet", 0),
    kind(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/11{}.0.0.0 Safari/537.36",
        "Chrome",
        "Windows",
        "desktop",
        4,
    ),
    kind(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.{} Safari/605.1.15",
        "Safari",
        "Mac OS X",
        "desktop",
        0,
    ),
    kind(
        "Mozilla/5.0 (X11; Linux x86_64; rv:11{}.0) Gecko/20100101 Firefox/11{}.0",
        "Firefox",
        "Linux",
        "desktop",
        4,
    ),
    kind(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/11{}.0.0.0 Safari/537.36 Edg/11{}.0",
        "Edge",
        "Windows",
        "desktop",
        4,
    ),
    // From here on programs that no household has.
    kind("HearthConsole/8.{} Chrome/118.0", "HearthConsole", "Windows", "desktop", 0),
    kind("hearth-service/2.{}", "hearth-service", "Linux", "server", 0),
    kind("AlarmCentre/1.{} (partner)", "AlarmCentre", "Linux", "server", 0),
    kind("HomeHub/4.{} (integration)", "HomeHub", "Linux", "server", 0),
    kind("uptime-probe/3.{}", "uptime-probe", "Linux", "server", 0),
    kind("python-requests/2.31.0", "Python Requests", "Other", "other", 0),
    kind("okhttp/4.9.3", "okhttp", "Other", "other", 0),
    kind("Go-http-client/1.1", "Go-http-client", "Other", "other", 0),
    kind(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.102 Safari/537.36",
        "Chrome",
        "Windows",
        "desktop",
        0,
    ),
    kind("Dalvik/2.1.0 (Linux; U; Android 9; SM-G960F)", "Android", "Android", "phone", 0),
    kind("curl/7.88.1", "curl", "Other", "other", 0),
];

/// Kinds that households have: telephones first.
pub(super) const PHONES: [u8; 4] = [0, 1, 2, 3];
/// The tablet in the kitchen.
pub(super) const TABLET: u8 = 4;
/// Browsers.
pub(super) const BROWSERS: [u8; 4] = [5, 6, 7, 8];
/// What staff use.
pub(super) const CONSOLE: u8 = 9;
/// What the service's own systems use.
pub(super) const SERVICE: u8 = 10;
/// The alarm centre that watches for its customers.
pub(super) const ALARM_CENTRE: u8 = 11;
/// The integration with smart homes.
pub(super) const HOME_HUB: u8 = 12;
/// What asks whether the service is up.
pub(super) const PROBE: u8 = 13;
/// What lists of passwords are tried with.
pub(super) const TOOLS: [u8; 6] = [14, 15, 16, 17, 18, 19];

/// A program in one of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    kind: u8,
    version: u8,
    /// Another TLS fingerprint than the program's own; 0: its own.
    pub(super) tls: u32,
}

impl Client {
    /// Nothing is known of the program.
    pub(super) const NONE: Self = Self { kind: u8::MAX, version: 0, tls: 0 };

    /// The version that a device has then; devices update on days of their own.
    pub(super) fn at(kind: u8, device: u32, since_start: Millis) -> Self {
        let own_day = i64::from(device % 6) * super::super::event::DAY;
        let version = ((since_start - own_day).max(0) / (2 * WEEK)) as u8 % VERSIONS as u8;
        Self { kind, version, tls: 0 }
    }

    /// A program that does not change.
    pub(super) fn fixed(kind: u8) -> Self {
        Self { kind, version: 0, tls: 0 }
    }
}

/// What is written about each program.
#[derive(Debug)]
pub(super) struct Clients {
    fragments: Vec<(String, String)>,
}

impl Clients {
    /// Writes everything once.
    pub(super) fn new() -> Self {
        let all =
            (0..KINDS.len()).flat_map(|kind| (0..VERSIONS).map(move |version| (kind, version)));
        Self { fragments: all.map(|(kind, version)| fragment(kind, version)).collect() }
    }

    /// Appends `"user_agent":...,"device_type":...` and a comma.
    pub(super) fn push(&self, client: Client, to: &mut String) {
        let index = usize::from(client.kind) * usize::from(VERSIONS) + usize::from(client.version);
        let Some((agent, tls)) = self.fragments.get(index) else { return };
        to.push_str(agent);
        to.push_str(",\"tls_fingerprint\":\"");
        if client.tls == 0 {
            to.push_str(tls);
        } else {
            push_fingerprint(to, u64::from(client.tls) | 1 << 40);
        }
        to.push_str("\",");
    }
}

fn fragment(index: usize, version: u16) -> (String, String) {
    let kind = &KINDS[index];
    let agent = kind.agent.replace("{}", &(version + 1).to_string());
    let text = format!(
        "\"user_agent\":\"{agent}\",\"agent\":\"{}\",\"os\":\"{}\",\"device_type\":\"{}\"",
        kind.name, kind.system, kind.device
    );
    let library = version.checked_div(kind.tls_every).unwrap_or_default();
    // Browsers of one make share their library; so do the apps of one system.
    let family = match index {
        0 | 1 => 0,
        2..=4 => 2,
        5 | 8 => 5,
        other => other as u64,
    };
    let mut tls = String::new();
    push_fingerprint(&mut tls, family << 8 | u64::from(library));
    (text, tls)
}

/// Something of the shape of a JA4.
fn push_fingerprint(to: &mut String, seed: u64) {
    let bits = mix(seed ^ 0x6a61_3400);
    to.push_str(["t13d1516h2_", "t13d1715h2_", "t13d2014h2_", "t12d1209h1_"][(bits & 3) as usize]);
    push_hex(to, bits >> 16, 12);
    to.push('_');
    push_hex(to, mix(bits) >> 16, 12);
}
