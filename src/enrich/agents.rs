//! What a user agent says of itself.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ua_parser::{Extractor, Regexes};

use super::cache::Cache;
use super::data_file::DataFile;
use crate::{Error, Result};

/// Of a longer agent only so much is looked at: none of a browser is longer, and the time that the
/// expressions take grows with the length.
pub(super) const AGENT_BYTES_MAX: usize = 1024;
/// Longer names are cut.
const NAME_BYTES_MAX: usize = 64;
/// What uap-core calls a name that no expression knows.
const OTHER: &str = "Other";

/// What kind of client an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeviceType {
    Desktop,
    Mobile,
    Tablet,
    Tv,
    Bot,
    App,
    Unknown,
}

impl DeviceType {
    /// Values of the column `device_type`, in the order of the type.
    pub(super) const NAMES: [&'static str; 7] =
        ["desktop", "mobile", "tablet", "tv", "bot", "app", "unknown"];
}

/// What is known of an agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) family: Box<str>,
    pub(super) os: Box<str>,
    pub(super) device_type: DeviceType,
}

/// The expressions of a file, and the agents seen lately.
pub(super) struct Agents {
    extractor: Extractor<'static>,
    cache: Cache<Box<str>, std::sync::Arc<Agent>>,
}

impl Agents {
    /// Reads `regexes.yaml`.
    ///
    /// # Errors
    /// When the file has another shape, or an expression is wrong.
    pub(super) fn read(file: &DataFile, cache_entries: usize) -> Result<Self> {
        let refused = |detail: String| -> Error {
            file.refuse(None, "the expressions for user agents cannot be used")
                .detail(detail)
                .hint("take `regexes.yaml` of uap-core")
        };
        let text = file.text()?;
        let load = || -> Result<Extractor<'static>, String> {
            let regexes: Regexes<'static> =
                serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))?;
            regexes.try_into().map_err(|error: ua_parser::Error| first_line(&error.to_string()))
        };
        // Expressions come from outside: whatever a library makes of them is an error of the file.
        let extractor = catch_unwind(AssertUnwindSafe(load))
            .map_err(|_| refused("reading it failed".to_owned()))?
            .map_err(refused)?;
        Ok(Self { extractor, cache: Cache::new(cache_entries) })
    }

    /// What is known of an agent.
    pub(super) fn find(&mut self, text: &str) -> std::sync::Arc<Agent> {
        let text = cut(text, AGENT_BYTES_MAX);
        if let Some(known) = self.cache.get(text) {
            return known;
        }
        let agent = std::sync::Arc::new(self.parse(text));
        self.cache.put(text.into(), agent.clone());
        agent
    }

    fn parse(&self, text: &str) -> Agent {
        let family = self.extractor.ua.extract(text).map(|found| found.family);
        let os = self.extractor.os.extract(text).map(|found| found.os);
        let device = self.extractor.dev.extract(text).map(|found| found.device);
        let family = family.as_deref().filter(|name| !name.is_empty() && *name != OTHER);
        let os = os.as_deref().filter(|name| !name.is_empty()).unwrap_or(OTHER);
        let device = device.as_deref().unwrap_or(OTHER);
        let device_type = device_type(text, family.unwrap_or_default(), os, device);
        // The expressions take the app of a camera vendor for the system's own browser.
        let own = product(text).filter(|_| device_type == DeviceType::App || family.is_none());
        let family = own.or(family).unwrap_or(OTHER);
        let short = |name: &str| cut(name, NAME_BYTES_MAX).into();
        Agent { family: short(family), os: short(os), device_type }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

/// The name before the first `/`, as programs of their own give it: `CameraApp/3.2 (iPhone; iOS 19)`.
fn product(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('/')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._- ".contains(c);
    let sound = !is_browser(text) && name.chars().any(|c| c.is_ascii_alphabetic());
    (sound && name.len() <= NAME_BYTES_MAX && name.chars().all(is_name)).then(|| name.trim())
}

/// Browsers, and programs that pose as one, begin so.
fn is_browser(text: &str) -> bool {
    text.starts_with("Mozilla/") || text.starts_with("Opera/")
}

/// Parts of names of programs that nobody sits at.
const BOTS: [&str; 25] = [
    "bot",
    "spider",
    "crawl",
    "slurp",
    "scrapy",
    "headless",
    "phantomjs",
    "selenium",
    "puppeteer",
    "curl",
    "wget",
    "httpie",
    "python",
    "libwww",
    "go-http-client",
    "java/",
    "apache-httpclient",
    "aiohttp",
    "node-fetch",
    "axios",
    "postman",
    "powershell",
    "winhttp",
    "nikto",
    "sqlmap",
];

const TVS: [&str; 16] = [
    "smart-tv",
    "smarttv",
    "smart tv",
    "appletv",
    "apple tv",
    "googletv",
    "android tv",
    "hbbtv",
    "netcast",
    "roku",
    "bravia",
    "web0s",
    "crkey",
    "aft",
    "tizen tv",
    "dtv",
];

const TABLETS: [&str; 4] = ["ipad", "tablet", "kindle", "playbook"];

const MOBILES: [&str; 6] = ["iphone", "ipod", "mobile", "phone", "blackberry", "opera mini"];

const MOBILE_SYSTEMS: [&str; 11] = [
    "iOS",
    "Windows Phone",
    "Windows Mobile",
    "BlackBerry OS",
    "Symbian OS",
    "Firefox OS",
    "KaiOS",
    "WatchOS",
    "Bada",
    "MeeGo",
    "Sailfish",
];

const DESKTOP_SYSTEMS: [&str; 14] = [
    "Windows",
    "Mac OS X",
    "Mac OS",
    "Linux",
    "Ubuntu",
    "Debian",
    "Fedora",
    "Red Hat",
    "Gentoo",
    "Chrome OS",
    "FreeBSD",
    "OpenBSD",
    "NetBSD",
    "Solaris",
];

const TV_SYSTEMS: [&str; 7] =
    ["tvOS", "ATV OS X", "GoogleTV", "WebTV", "Roku", "FireHbbTV", "Chromecast"];

/// See `docs/enrichment.md`, which has the same order.
fn device_type(text: &str, family: &str, os: &str, device: &str) -> DeviceType {
    let lower = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let family = family.to_ascii_lowercase();
    // Inside of a browser's text such a word may stand by chance ("Cubot" makes telephones).
    let is_bot =
        |word: &&str| if is_browser(text) { family.contains(*word) } else { lower.contains(*word) };
    if device == "Spider" || BOTS.iter().any(is_bot) {
        DeviceType::Bot
    } else if TV_SYSTEMS.iter().any(|system| os.starts_with(system)) || has_tv(&lower) {
        DeviceType::Tv
    } else if !is_browser(text) {
        if text.trim().is_empty() || !text.contains(['/', '(']) {
            DeviceType::Unknown
        } else {
            DeviceType::App
        }
    } else if has(&TABLETS) || device == "iPad" {
        DeviceType::Tablet
    } else if os == "Android" && !lower.contains("mobile") {
        // Browsers on Android say "Mobile" on telephones alone.
        DeviceType::Tablet
    } else if MOBILE_SYSTEMS.contains(&os) || os == "Android" || has(&MOBILES) {
        DeviceType::Mobile
    } else if DESKTOP_SYSTEMS.contains(&os) {
        DeviceType::Desktop
    } else {
        DeviceType::Unknown
    }
}

/// Whether a word of the text begins as televisions name themselves.
fn has_tv(lower: &str) -> bool {
    TVS.iter().any(|name| {
        lower.match_indices(name).any(|(at, _)| {
            let before = lower.get(..at).and_then(|before| before.chars().next_back());
            let starts_word = before.is_none_or(|c| !c.is_ascii_alphanumeric());
            // "AFTS" and the like are Amazon's; "after" is a word.
            starts_word && (*name != "aft" || is_fire_tv(lower.get(at..).unwrap_or_default()))
        })
    })
}

fn is_fire_tv(text: &str) -> bool {
    let model = text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    text.contains("build/") && (4..=8).contains(&model.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_devices() {
        use DeviceType::*;
        let chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
        let pixel = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36";
        let tab = "Mozilla/5.0 (Linux; Android 15; SM-X710) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36";
        let cubot = "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/77.0 Mobile Safari/537.36";
        let fire = "Mozilla/5.0 (Linux; Android 9; AFTS Build/PS7242) AppleWebKit/537.36 Chrome/90.0 Safari/537.36";
        let cases = [
            (chrome, "Chrome", "Windows", "Other", Desktop),
            (pixel, "Chrome Mobile", "Android", "Pixel 9", Mobile),
            (tab, "Chrome", "Android", "Samsung SM-X710", Tablet),
            (cubot, "Chrome Mobile", "Android", "CUBOT_X19", Mobile),
            (fire, "Chrome", "Android", "AFTS", Tv),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)",
                "Mobile Safari",
                "iOS",
                "iPad",
                Tablet,
            ),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0)", "Mobile Safari", "iOS", "iPhone", Mobile),
            ("Mozilla/5.0 (Web0S; Linux/SmartTV)", "Chrome", "webOS", "LG", Tv),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)", "Googlebot", "Other", "Spider", Bot),
            ("Mozilla/5.0 (X11) HeadlessChrome/90", "HeadlessChrome", "Linux", "Other", Bot),
            ("curl/8.5.0", "curl", "Other", "Other", Bot),
            ("python-requests/2.31", "Python Requests", "Other", "Other", Bot),
            ("HearthApp/3.21.0 (iPhone; iOS 13.1)", "", "iOS", "iPhone", App),
            ("okhttp/4.9", "okhttp", "Other", "Other", App),
            ("Mozilla/5.0", "", "Other", "Other", Unknown),
            ("x", "", "Other", "Other", Unknown),
            ("", "", "Other", "Other", Unknown),
        ];
        for (text, family, os, device, expected) in cases {
            assert_eq!(device_type(text, family, os, device), expected, "{text}");
        }
        assert_eq!(DeviceType::NAMES[Bot as usize], "bot");
        assert_eq!(DeviceType::NAMES[Unknown as usize], "unknown");
    }

    #[test]
    fn a_program_of_its_own_has_its_own_name() {
        assert_eq!(product("HearthApp/3.21.0 (iPhone)"), Some("HearthApp"));
        assert_eq!(product("Mozilla/5.0 (X11)"), None);
        assert_eq!(product("no version"), None);
        assert_eq!(product("<script>/1"), None);
        assert_eq!(product("1.2/3"), None);
    }
}
