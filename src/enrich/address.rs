//! What an address says by itself: which one it really is, whether it is public, its prefix.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// A client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Address {
    /// The address itself; one that is an IPv4 address in the clothes of IPv6 is that one.
    pub(super) own: IpAddr,
}

/// Bits of the prefix that stands for one network of a customer.
const PREFIX_BITS_V4: u8 = 24;
const PREFIX_BITS_V6: u8 = 48;

impl Address {
    /// Reads an address; `None` when the text is none.
    ///
    /// `::ffff:192.0.2.1` (mapped) and `64:ff9b::192.0.2.1` (NAT64) are hosts of the IPv4 internet,
    /// and become their IPv4 address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let own = match text.parse().ok()? {
            IpAddr::V6(v6) => inner(v6).map_or(IpAddr::V6(v6), IpAddr::V4),
            v4 => v4,
        };
        Some(Self { own })
    }

    /// The address that data files are asked for: of a 6to4 address the IPv4 address of its site.
    pub(super) fn located(self) -> IpAddr {
        match self.own {
            IpAddr::V6(v6) => six_to_four(v6).map_or(self.own, IpAddr::V4),
            v4 => v4,
        }
    }

    /// Whether the address means a host of the internet: no data file can know where others are.
    pub(super) fn is_public(self) -> bool {
        match self.located() {
            IpAddr::V4(v4) => !NOT_PUBLIC_V4.iter().any(|net| net.contains(&v4)),
            IpAddr::V6(v6) => !NOT_PUBLIC_V6.iter().any(|net| net.contains(&v6)),
        }
    }

    /// Writes the /24 or /48 in canonical text.
    pub(super) fn write_prefix(self, text: &mut String) {
        text.clear();
        // Writing to a string cannot fail, and both lengths are within the address's.
        let _ = match self.own {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                write!(text, "{a}.{b}.{c}.0/{PREFIX_BITS_V4}")
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                let network = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0);
                write!(text, "{network}/{PREFIX_BITS_V6}")
            }
        };
    }
}

/// The IPv4 address that a mapped or NAT64 address stands for.
pub(super) fn inner(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    const NAT64: u128 = 0x0064_ff9b << 96;
    let bits = u128::from(v6);
    let nat64 = (bits >> 32 == NAT64 >> 32).then_some(Ipv4Addr::from(bits as u32));
    v6.to_ipv4_mapped().or(nat64)
}

fn six_to_four(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = u128::from(v6);
    (bits >> 112 == 0x2002).then_some(Ipv4Addr::from((bits >> 80) as u32))
}

const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), bits)
}

const fn v6(a: u16, b: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), bits)
}

/// Private and reserved (RFC 6890 and its successors). The documentation ranges are not among them:
/// no client has such an address, and examples and tests live in them.
const NOT_PUBLIC_V4: [Ipv4Net; 10] = [
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(224, 0, 0, 3),
];

const NOT_PUBLIC_V6: [Ipv6Net; 7] = [
    v6(0, 0, 8),
    v6(0x0100, 0, 64),
    v6(0x2001, 0, 32),
    v6(0xfc00, 0, 7),
    v6(0xfe80, 0, 10),
    v6(0xfec0, 0, 10),
    v6(0xff00, 0, 8),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Option<String> {
        let mut prefix = String::new();
        Address::parse(text)?.write_prefix(&mut prefix);
        Some(prefix)
    }

    #[test]
    fn prefixes_are_canonical() {
        let cases = [
            ("192.0.2.77", Some("192.0.2.0/24")),
            ("2001:DB8:1:2:3::4", Some("2001:db8:1::/48")),
            ("2001:db8::", Some("2001:db8::/48")),
            ("2001:db8:0:ff::1", Some("2001:db8::/48")),
            ("::ffff:192.0.2.77", Some("192.0.2.0/24")),
            ("64:ff9b::c000:24d", Some("192.0.2.0/24")),
            ("2002:c000:24d:1::1", Some("2002:c000:24d::/48")),
            ("10.1.2.3", Some("10.1.2.0/24")),
            ("192.0.2.077", None),
            ("192.0.2.1:443", None),
            ("fe80::1%eth0", None),
            ("example.org", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(prefix(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_hosts_of_the_internet_are_public() {
        let public = ["192.0.2.1", "100.128.0.1", "2001:db8::1", "2002:c000:201::1", "223.0.0.1"];
        let others = [
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.19.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
            "2001:0:1::1",
        ];
        for (texts, expected) in [(&public[..], true), (&others[..], false)] {
            for text in texts {
                let address = Address::parse(text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(address.is_public(), expected, "{text}");
            }
        }
    }

    #[test]
    fn data_is_asked_for_the_site_of_a_6to4_address() {
        let located = |text: &str| Address::parse(text).map(|a| a.located().to_string());
        assert_eq!(located("2002:c000:24d:1::1").as_deref(), Some("192.0.2.77"));
        assert_eq!(located("64:ff9b::192.0.2.77").as_deref(), Some("192.0.2.77"));
        assert_eq!(located("2001:db8::1").as_deref(), Some("2001:db8::1"));
    }
}
