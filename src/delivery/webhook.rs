//! Webhooks by the Standard Webhooks 1.0 specification: signed, with an id that is the same however
//! often one is sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use super::encoding::Encoding;
use super::endpoint;
use super::http_destination::{HttpDestination, Request};
use super::record::AlertRecord;
use crate::config::WebhookConfig;
use crate::config::secret::{self, Secret};
use crate::{Error, Result};

/// No body is longer.
#[cfg(test)]
const BODY_BYTES_MAX: usize = 256 << 10;
/// A longer alert is shortened; the rest of the body takes less than the difference.
const DATA_BYTES_MAX: usize = 255 << 10;
const PREFIX: &str = "whsec_";
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

type Key = Hmac<Sha256>;

/// One receiver of webhooks.
pub(crate) struct Webhook {
    url: String,
    keys: Vec<Key>,
    encoding: Encoding,
}

impl Webhook {
    /// Reads the address and the secrets from their files.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub(crate) fn new(config: &WebhookConfig) -> Result<Self> {
        let url = match (&config.url, &config.url_file) {
            (_, Some(file)) => endpoint::secret("destination.url_file", file)?.expose().to_owned(),
            (url, None) => {
                let url = url.clone().unwrap_or_default();
                endpoint::checked(&url, "url")?;
                url
            }
        };
        let keys = config.secret_files.iter().map(|file| {
            let name = "destination.secret_files";
            let secret = Secret::of_key(name, file)?;
            key(&secret).map_err(|error| error.at(secret::place(name, file)))
        });
        Ok(Self { url, keys: keys.collect::<Result<_>>()?, encoding: config.encoding })
    }

    fn body(&self, alert: &AlertRecord, native: &[u8]) -> Vec<u8> {
        let data = self.encoding.encode(alert, native, DATA_BYTES_MAX);
        let is_shortened = self.encoding == Encoding::Native && data.len() < native.len();
        let notes = if is_shortened { notes(alert, &data) } else { Vec::new() };
        envelope(alert, &data, &notes)
    }
}

fn key(secret: &Secret) -> Result<Key> {
    let wrong = || {
        Error::usage("the signing secret is not one of Standard Webhooks").hint(format!(
            "it is `{PREFIX}` and the base64 of {} to {} random bytes",
            KEY_BYTES.start(),
            KEY_BYTES.end()
        ))
    };
    let text = secret.expose().strip_prefix(PREFIX).ok_or_else(wrong)?;
    let bytes = STANDARD.decode(text).map_err(|_| wrong())?;
    if !KEY_BYTES.contains(&bytes.len()) {
        return Err(wrong());
    }
    Key::new_from_slice(&bytes).map_err(|_| wrong())
}

/// The body around the encoded alert, whose bytes stay as they are.
fn envelope(alert: &AlertRecord, data: &[u8], notes: &[String]) -> Vec<u8> {
    let event = alert.status.label();
    let mut body = format!(
        r#"{{"type":"nightlatch.alert.{event}","timestamp":{},"data":"#,
        json!(alert.updated_at)
    )
    .into_bytes();
    body.extend(data);
    if !notes.is_empty() {
        body.extend(format!(r#","shortened":{}"#, json!(notes)).bytes());
    }
    body.push(b'}');
    body
}

/// What the lists of a shortened alert leave out.
fn notes(alert: &AlertRecord, shortened: &[u8]) -> Vec<String> {
    let Ok(short) = serde_json::from_slice::<AlertRecord>(shortened) else { return Vec::new() };
    let lists = [
        ("accounts", alert.accounts_total, short.accounts.len()),
        ("ips", alert.ips_total, short.ips.len()),
        ("evidence", alert.evidence_total, short.evidence.len()),
    ];
    let missing =
        lists.into_iter().map(|(name, all, kept)| (name, all.saturating_sub(kept as u64)));
    let missing = missing.filter(|(_, missing)| *missing > 0);
    missing.map(|(name, missing)| format!("{name}: ... and {missing} more")).collect()
}

impl HttpDestination for Webhook {
    fn request(&mut self, alert: &AlertRecord, native: &[u8], now_seconds: i64) -> Option<Request> {
        let body = self.body(alert, native);
        let id = format!("{}-{}", alert.id, alert.revision);
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| {
                let mut mac = key.clone();
                mac.update(format!("{id}.{now_seconds}.").as_bytes());
                mac.update(&body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            })
            .collect();
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", now_seconds.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ];
        Some(Request { url: self.url.clone(), headers, body })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::delivery::tests::{alert, record};

    fn webhook(keys: &[&str]) -> Webhook {
        let keys = keys.iter().map(|bytes| Key::new_from_slice(bytes.as_bytes()).unwrap());
        Webhook { url: "https://x".into(), keys: keys.collect(), encoding: Encoding::Native }
    }

    #[test]
    fn the_body_holds_the_native_bytes_as_they_are() {
        let native = alert("a", 2).to_json();
        let request = webhook(&["k"]).request(&record("a", 2), &native, 5).unwrap();
        let text = String::from_utf8(request.body.clone()).unwrap();
        assert!(text.contains(std::str::from_utf8(&native).unwrap()), "{text}");
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["type"], "nightlatch.alert.updated");
        assert_eq!(body["timestamp"], "2019-03-01T12:01:00.250Z");
        assert_eq!(body["data"]["id"], "a");
        assert!(body.get("shortened").is_none());
    }

    #[test]
    fn a_body_that_is_too_long_says_what_it_leaves_out() {
        let long = AlertRecord {
            accounts: (0..1000).map(|n| format!("{n}{}", "x".repeat(4000))).collect(),
            accounts_total: 1037,
            ..record("a", 1)
        };
        let body = webhook(&[]).body(&long, &serde_json::to_vec(&long).unwrap());
        assert!(body.len() <= BODY_BYTES_MAX);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let kept = body["data"]["accounts"].as_array().unwrap().len();
        assert!((10..1000).contains(&kept), "{kept}");
        assert_eq!(body["shortened"][0], format!("accounts: ... and {} more", 1037 - kept));
        assert_eq!(body["data"]["accounts_total"], 1037);

        let worst = AlertRecord {
            summary: "s".repeat(300_000),
            values: [("v".to_owned(), json!("w".repeat(300_000)))].into_iter().collect(),
            ..long
        };
        let body = webhook(&[]).body(&worst, &serde_json::to_vec(&worst).unwrap());
        assert!(body.len() <= BODY_BYTES_MAX, "{}", body.len());
        serde_json::from_slice::<Value>(&body).unwrap();
    }

    #[test]
    fn a_secret_of_another_form_is_refused_and_not_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let refused = |text: &str| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let config = WebhookConfig {
                url: Some("https://x".into()),
                secret_files: vec![path.clone()],
                ..WebhookConfig::default()
            };
            Webhook::new(&config).err().map(|error| error.to_string())
        };
        let encoded = |length| format!("whsec_{}", STANDARD.encode("k".repeat(length)));
        for wrong in [encoded(23), encoded(65), "whsec_?".into(), STANDARD.encode("k".repeat(32))] {
            let error = refused(&wrong).unwrap();
            assert!(error.contains("secret") && !error.contains(&wrong), "{error}");
        }
        assert_eq!(refused(&encoded(24)), None);
        assert_eq!(refused(&encoded(64)), None);
    }
}
