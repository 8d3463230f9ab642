//! Where a request may go: not to this machine nor to its neighbours, unless a destination says so.
//! Looked at in the address itself and again after its name is resolved.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Name, Resolve, Resolving};

/// The wire server of one cloud stands at a public address.
const WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// What a destination may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressPolicy {
    pub(crate) allow_private: bool,
    pub(crate) allow_http: bool,
}

impl AddressPolicy {
    /// The address as the client takes it, or why it may not be asked. The answer never holds the
    /// address: its path may be a secret.
    pub(crate) fn check(self, url: &str) -> Result<Url, String> {
        let url = Url::parse(url).map_err(|error| format!("the address is no URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http || self.allow_private => {}
            "http" => return Err("the address is without TLS: set `allow_http = true`".to_owned()),
            other => return Err(format!("`{other}` is no scheme of a destination")),
        }
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        match literal {
            Some(address) if !self.allows(address) => {
                Err(format!("{address} is a private address: set `allow_private = true`"))
            }
            _ => Ok(url),
        }
    }

    fn allows(self, address: IpAddr) -> bool {
        self.allow_private || !is_private(address)
    }
}

/// Resolves names, and keeps only addresses that may be asked: what a name means may change at any
/// time.
impl Resolve for AddressPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = *self;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await.map_err(|error| {
                io::Error::other(format!("the name `{host}` does not resolve: {error}"))
            })?;
            let (allowed, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
                found.partition(|address| policy.allows(address.ip()));
            if allowed.is_empty() {
                let reason = match refused.first() {
                    None => format!("the name `{host}` has no address"),
                    Some(address) => format!(
                        "`{host}` is at {}, a private address: set `allow_private = true`",
                        address.ip()
                    ),
                };
                return Err(io::Error::other(reason).into());
            }
            Ok(Box::new(allowed.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// Whether an address is not one of the public network.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address == WIRE_SERVER
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b))
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        // Loopback, unspecified, and IPv4 addresses written as IPv6.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => high == 0 || inner(high, low),
        // Behind a translator to IPv4: well known, local; 6to4; Teredo.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x64, 0xff9b, 1, ..] => true,
        [0x2002, high, low, ..] => inner(high, low),
        [0x2001, 0, ..] => true,
        // Unique local, link local, site local, multicast.
        [first, ..] => {
            first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || first & 0xffc0 == 0xfec0
                || first & 0xff00 == 0xff00
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: AddressPolicy = AddressPolicy { allow_private: false, allow_http: false };

    #[test]
    fn private_addresses_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a00:1]",
            "[::10.0.0.1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001::1]",
        ] {
            let refused = STRICT.check(&format!("https://{host}/")).unwrap_err();
            assert!(refused.contains("is a private address"), "{host}: {refused}");
            let open = AddressPolicy { allow_private: true, allow_http: false };
            open.check(&format!("http://{host}/")).unwrap();
        }
    }

    #[test]
    fn public_addresses_and_names_are_not() {
        for host in [
            "example.org",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "[2606:4700::1111]",
            "[::ffff:8.8.8.8]",
            "[64:ff9b::808:808]",
            "[2002:808:808::]",
        ] {
            STRICT.check(&format!("https://{host}:8443/x")).unwrap();
        }
    }

    #[test]
    fn plain_http_and_other_schemes_are_refused_without_telling_the_address() {
        for url in ["http://example.org/s3cret", "ftp://example.org/s3cret", "s3cret"] {
            let refused = STRICT.check(url).unwrap_err();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
        let open = AddressPolicy { allow_private: false, allow_http: true };
        open.check("http://example.org/").unwrap();
        assert!(open.check("http://localhost.localdomain@127.0.0.1/").is_err());
    }
}
