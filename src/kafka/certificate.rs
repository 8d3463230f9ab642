//! What is wrong with a broker's certificate: the library says only that it does not trust it.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};

use super::{block_on, causes};

const PATIENCE: Duration = Duration::from_secs(5);
const MARK: &str = "certificate verify failed";

/// Shakes hands once more with the first of the brokers, by a library that gives the reason: `None`
/// when that finds no fault.
pub(super) fn fault(
    brokers: &str,
    ca_file: Option<&Path>,
    verify_hostname: bool,
) -> Option<String> {
    let broker = brokers.split(',').next()?.trim();
    let mut client = Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .tls_danger_accept_invalid_hostnames(!verify_hostname);
    if let Some(file) = ca_file {
        let pem = std::fs::read(file).ok()?;
        client = client.tls_certs_only(Certificate::from_pem_bundle(&pem).ok()?);
    }
    let request = client.build().ok()?.get(format!("https://{broker}/"));
    // A broker speaks no HTTP: after a handshake without fault there is another error.
    let error = block_on(async { request.send().await })?.err()?;
    let text = causes(error);
    let (_, reason) = text.split_once(MARK)?;
    let (_, reason) = reason.rsplit_once('(')?;
    Some(reason.split(')').next()?.to_owned())
}
