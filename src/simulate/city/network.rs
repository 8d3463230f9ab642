//! The networks of the city: who owns which addresses, and where they are on the map.
//!
//! Nothing here can be taken for somebody real. IPv4 is all out of 240.0.0.0/4 (reserved, never
//! given to anybody, not routed), one /16 for each site of a network; IPv6 out of 3fff::/20
//! (documentation, RFC 9637), one /48 for each home; AS numbers are private ones (RFC 6996); the
//! names of organisations begin with "Example". Countries and cities are real, so that distances are.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::super::event::{push_hex, push_number};
use super::super::random::Random;

/// What kind of network it is: the values of the column `network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Residential,
    Mobile,
    Hosting,
    Vpn,
    Relay,
    Tor,
    /// Companies, schools, hotels: no list knows them.
    Unlisted,
}

impl Class {
    fn label(self) -> &'static str {
        match self {
            Self::Residential => "residential",
            Self::Mobile => "mobile",
            Self::Hosting => "hosting",
            Self::Vpn => "vpn",
            Self::Relay => "relay",
            Self::Tor => "tor",
            Self::Unlisted => "unknown",
        }
    }
}

/// A city of the map.
#[derive(Debug)]
pub(super) struct City {
    name: &'static str,
    country: usize,
    /// Ten-thousandths of a degree.
    latitude: i32,
    longitude: i32,
    /// Hours that its clocks are ahead of UTC, winter and summer.
    pub(super) zone_hours: i64,
    /// Households for each 100 of all.
    weight: u32,
}

/// Countries: those with households first.
const COUNTRIES: [&str; 14] =
    ["US", "DE", "FR", "GB", "ES", "NL", "PL", "SE", "JP", "BR", "AU", "SG", "ZA", "TR"];

/// Which labels the cameras of a country have: an index into the labels' languages.
const LANGUAGES: [u8; 14] = [0, 1, 2, 0, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0];

const fn city(
    name: &'static str,
    country: usize,
    latitude: i32,
    longitude: i32,
    zone_hours: i64,
    weight: u32,
) -> City {
    City { name, country, latitude, longitude, zone_hours, weight }
}

/// The map.
pub(super) const CITIES: [City; 24] = [
    city("New York", 0, 407_128, -740_060, -5, 14),
    city("Atlanta", 0, 337_490, -843_880, -5, 6),
    city("Chicago", 0, 418_781, -876_298, -6, 9),
    city("Denver", 0, 397_392, -1_049_903, -7, 4),
    city("Los Angeles", 0, 340_522, -1_182_437, -8, 11),
    city("Berlin", 1, 525_200, 134_050, 1, 6),
    city("Munich", 1, 481_351, 115_820, 1, 4),
    city("Hamburg", 1, 535_511, 99_937, 1, 3),
    city("Paris", 2, 488_566, 23_522, 1, 7),
    city("Lyon", 2, 457_640, 48_357, 1, 3),
    city("London", 3, 515_074, -1_278, 0, 8),
    city("Leeds", 3, 538_008, -15_491, 0, 3),
    city("Madrid", 4, 404_168, -37_038, 1, 4),
    city("Amsterdam", 5, 523_676, 49_041, 1, 4),
    city("Warsaw", 6, 522_297, 210_122, 1, 3),
    city("Stockholm", 7, 593_293, 180_686, 1, 3),
    city("Tokyo", 8, 356_762, 1_396_503, 9, 4),
    city("Sao Paulo", 9, -235_505, -466_333, -3, 3),
    city("Sydney", 10, -338_688, 1_512_093, 10, 1),
    city("Singapore", 11, 13_521, 1_038_198, 8, 0),
    city("Johannesburg", 12, -262_041, 280_473, 2, 0),
    city("Istanbul", 13, 410_082, 289_784, 3, 0),
    city("Seattle", 0, 476_062, -1_223_321, -8, 0),
    city("Frankfurt", 1, 501_109, 86_821, 1, 0),
];

/// Sites of each city, in this order, before the sites that are not one a city.
const ISPS: u16 = 3;
const SITES_A_CITY: u16 = 12;
const WIRELESS: u16 = 3;
const CARRIERS: u16 = 4;
const N_CARRIERS: u16 = 2;
const HOSTING: u16 = 6;
const VPNS: u16 = 7;
const N_VPNS: u16 = 2;
const RELAY: u16 = 9;
const HOTELS: u16 = 10;
const TOR: u16 = 11;

/// Offices of companies, one site each, after those of the cities.
pub(super) const OFFICES: u16 = 48;
const CAMPUSES: u16 = 2;
/// First AS number: RFC 6996 keeps from 4200000000 for private use.
const FIRST_ASN: u32 = 4_200_000_000;

/// Where a packet comes from: a site and the host in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Index of the site and one; 0: the service did not log an address.
    site: u16,
    /// Below 65,536 an IPv4 host; with the top bit a home and a device in IPv6.
    host: u32,
}

const V6: u32 = 1 << 31;

impl Place {
    /// No address was logged.
    pub(super) const NONE: Self = Self { site: 0, host: 0 };

    fn v4(site: u16, host: u32) -> Self {
        // No network or broadcast address.
        let host = host & 0xffff;
        let host = if host & 0xff == 0 || host & 0xff == 0xff { host ^ 0x55 } else { host };
        Self { site: site + 1, host }
    }

    /// A home's /48 and one of its devices.
    fn v6(site: u16, home: u32, device: u32) -> Self {
        Self { site: site + 1, host: V6 | (home & 0xffff) << 15 | (device & 0x7fff).max(1) }
    }

    /// Whether there is an address.
    pub(super) fn is_some(self) -> bool {
        self.site != 0
    }

    /// Appends the address as people write it.
    pub(super) fn push_address(self, to: &mut String) {
        if self.host & V6 == 0 {
            self.push_v4(to, self.host & 0xff);
            return;
        }
        self.push_home(to);
        to.push_str("::");
        push_hex(to, u64::from(self.host & 0x7fff), 1);
    }

    /// Appends the /24 or /48.
    pub(super) fn push_prefix(self, to: &mut String) {
        if self.host & V6 == 0 {
            self.push_v4(to, 0);
            to.push_str("/24");
        } else {
            self.push_home(to);
            to.push_str("::/48");
        }
    }

    fn push_v4(self, to: &mut String, last: u32) {
        let bits = 0xf000_0000 | u32::from(self.site) << 16 | self.host & 0xff00 | last;
        for (index, byte) in bits.to_be_bytes().into_iter().enumerate() {
            if index > 0 {
                to.push('.');
            }
            push_number(to, u64::from(byte), 1);
        }
    }

    fn push_home(self, to: &mut String) {
        to.push_str("3fff:");
        push_hex(to, u64::from(self.site), 1);
        to.push(':');
        push_hex(to, u64::from(self.host >> 15 & 0xffff), 1);
    }
}

/// All networks, with what is written about each.
#[derive(Debug)]
pub(super) struct Networks {
    fragments: Vec<String>,
    cgnat: bool,
    exits: u32,
}

impl Networks {
    /// `cgnat`: mobile and wireless customers leave by few addresses.
    pub(super) fn new(accounts: u32, cgnat: bool) -> Self {
        let sites = CITIES.len() as u16 * SITES_A_CITY + OFFICES + CAMPUSES;
        let fragments = (0..sites).map(fragment).collect();
        Self { fragments, cgnat, exits: 1 + accounts / 5000 }
    }

    /// What is written about the network of a place: country to class.
    pub(super) fn fragment(&self, place: Place) -> &str {
        match usize::from(place.site).checked_sub(1).and_then(|site| self.fragments.get(site)) {
            Some(fragment) => fragment,
            None => "",
        }
    }

    /// A city to live in.
    pub(super) fn home_city(&self, random: &mut Random) -> u8 {
        let mut left = random.below(CITIES.iter().map(|city| city.weight).sum());
        let found = CITIES.iter().position(|city| match left.checked_sub(city.weight) {
            None => true,
            Some(rest) => {
                left = rest;
                false
            }
        });
        found.unwrap_or_default() as u8
    }

    /// A home of the city with an address of its own; `number` spreads homes over the network.
    pub(super) fn home(city: u8, isp: u16, number: u32) -> Place {
        Place::v4(site(city, isp % ISPS), number.wrapping_mul(40_503))
    }

    /// A home with IPv6: its prefix, and a device in it.
    pub(super) fn home_v6(city: u8, isp: u16, number: u32, device: u32) -> Place {
        Place::v6(site(city, isp % ISPS), number.wrapping_mul(40_503), device)
    }

    /// Fixed wireless access: many homes behind a few addresses, or an address each.
    pub(super) fn wireless(&self, city: u8, number: u32) -> Place {
        if self.cgnat {
            return Place::v4(site(first_city(city), WIRELESS), 0x1001 + number % 2);
        }
        Place::v4(site(city, WIRELESS), number.wrapping_mul(40_503))
    }

    /// An exit of a mobile carrier: of the country's first city, as the databases have it.
    pub(super) fn mobile(&self, city: u8, carrier: u16, random: &mut Random) -> Place {
        let first = first_city(city);
        let exits = if self.cgnat { self.exits } else { 0xffff };
        Place::v4(site(first, CARRIERS + carrier % N_CARRIERS), 0x2001 + random.below(exits))
    }

    /// All addresses that mobile and wireless customers share.
    pub(super) fn cgnat_exits(&self) -> BTreeSet<Place> {
        let cities = 0..CITIES.len() as u8;
        let cities = cities.filter(|&city| first_city(city) == city);
        let wireless =
            cities.clone().flat_map(|city| (0..2).map(move |exit| (city, WIRELESS, 0x1001 + exit)));
        let carriers = [CARRIERS, CARRIERS + 1];
        let mobile = cities.flat_map(|city| carriers.map(move |carrier| (city, carrier)));
        let exits = self.exits;
        let mobile = mobile
            .flat_map(|(city, carrier)| (0..exits).map(move |exit| (city, carrier, 0x2001 + exit)));
        wireless.chain(mobile).map(|(city, kind, host)| Place::v4(site(city, kind), host)).collect()
    }

    /// A rented server.
    pub(super) fn hosting(city: u8, host: u32) -> Place {
        Place::v4(site(city, HOSTING), host)
    }

    /// An exit of a VPN provider: few in each city, for all its customers.
    pub(super) fn vpn(city: u8, provider: u16, exit: u32) -> Place {
        Place::v4(site(city, VPNS + provider % N_VPNS), 0x3001 + exit % 3)
    }

    /// An exit of a privacy relay.
    pub(super) fn relay(city: u8, exit: u32) -> Place {
        Place::v4(site(city, RELAY), 0x4001 + exit % 6)
    }

    /// The address of a hotel, a café, an airport.
    pub(super) fn hotel(city: u8, number: u32) -> Place {
        Place::v4(site(city, HOTELS), 0x5001 + number % 40)
    }

    /// An exit of the onion network.
    pub(super) fn tor(exit: u32) -> Place {
        let cities = [13, 15, 23, 19, 22, 8];
        Place::v4(site(cities[exit as usize % cities.len()], TOR), 0x6001 + exit / 6 % 12)
    }

    /// The one address of a company.
    pub(super) fn office(number: u16) -> Place {
        Place::v4(CITIES.len() as u16 * SITES_A_CITY + number % OFFICES, 0x0a01)
    }

    /// The few addresses of a university.
    pub(super) fn campus(number: u16, host: u32) -> Place {
        let first = CITIES.len() as u16 * SITES_A_CITY + OFFICES;
        Place::v4(first + number % CAMPUSES, 0x0101 + host % 3)
    }
}

/// The first city of the same country: where its carriers leave.
fn first_city(city: u8) -> u8 {
    let country = CITIES[usize::from(city)].country;
    CITIES.iter().position(|city| city.country == country).unwrap_or_default() as u8
}

/// The city that an office stands in.
pub(super) fn office_city(number: u16) -> u8 {
    (number % 19) as u8
}

/// Cities with a university.
const CAMPUS_CITIES: [u8; CAMPUSES as usize] = [0, 5];

fn campus_city(number: u16) -> u8 {
    CAMPUS_CITIES[usize::from(number % CAMPUSES)]
}

/// The university of a city.
pub(super) fn campus_of(city: u8) -> Option<u16> {
    CAMPUS_CITIES.iter().position(|&other| other == city).map(|number| number as u16)
}

/// Which language the labels of a city's cameras have.
pub(super) fn language(city: u8) -> u8 {
    LANGUAGES[CITIES[usize::from(city)].country]
}

/// Another city, of the same country where `same_country`, else of another one.
pub(super) fn other_city(city: u8, same_country: bool, random: &mut Random) -> u8 {
    let country = CITIES[usize::from(city)].country;
    let fits = |other: &u8| (CITIES[usize::from(*other)].country == country) == same_country;
    let fitting: Vec<u8> = (0..CITIES.len() as u8).filter(fits).collect();
    random.pick(&fitting)
}

fn site(city: u8, kind: u16) -> u16 {
    u16::from(city) % CITIES.len() as u16 * SITES_A_CITY + kind
}

/// `"country":"DE",...,"network":"residential"` of a site.
fn fragment(site: u16) -> String {
    let cities = CITIES.len() as u16 * SITES_A_CITY;
    let (city, class, asn, organisation) = match site.checked_sub(cities) {
        None => city_site((site / SITES_A_CITY) as u8, site % SITES_A_CITY),
        Some(office) if office < OFFICES => (
            office_city(office),
            Class::Unlisted,
            900 + u32::from(office),
            format!("Example Company {office}"),
        ),
        Some(rest) => {
            let campus = rest - OFFICES;
            let name = format!("Example University {campus}");
            (campus_city(campus), Class::Unlisted, 980 + u32::from(campus), name)
        }
    };
    let city = &CITIES[usize::from(city)];
    let mut text = String::new();
    let _ = write!(
        text,
        "\"country\":\"{}\",\"city\":\"{}\",\"latitude\":{},\"longitude\":{},\"asn\":{},\
         \"as_org\":\"{organisation}\",\"network\":\"{}\"",
        COUNTRIES[city.country],
        city.name,
        degrees(city.latitude),
        degrees(city.longitude),
        FIRST_ASN + asn,
        class.label(),
    );
    text
}

/// Class, number and organisation: providers work in a whole country, VPNs in the whole world.
fn city_site(city: u8, kind: u16) -> (u8, Class, u32, String) {
    let country = CITIES[usize::from(city)].country;
    let name = COUNTRIES[country];
    let number = kind + 1;
    let national = country as u32 * 20 + u32::from(kind);
    let (class, asn, organisation) = match kind {
        0..WIRELESS => (Class::Residential, national, format!("Example Broadband {name} {number}")),
        WIRELESS => (Class::Residential, national, format!("Example Wireless Access {name}")),
        CARRIERS..HOSTING => {
            (Class::Mobile, national, format!("Example Mobile {name} {}", kind - CARRIERS + 1))
        }
        HOSTING => {
            (Class::Hosting, 600 + u32::from(city % 6), format!("Example Hosting {}", city % 6 + 1))
        }
        VPNS..RELAY => {
            let provider = kind - VPNS + 1;
            (Class::Vpn, 700 + u32::from(provider), format!("Example VPN {provider}"))
        }
        RELAY => (Class::Relay, 710, "Example Relay".to_owned()),
        HOTELS => (Class::Unlisted, national, format!("Example Hospitality {name}")),
        _ => (Class::Tor, 720, "Example Onion Volunteers".to_owned()),
    };
    (city, class, asn, organisation)
}

fn degrees(value: i32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    format!("{sign}{}.{:04}", value / 10_000, value % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_fit_into_the_ranges_that_belong_to_nobody() {
        let networks = Networks::new(1000, true);
        assert!(
            networks.fragments.len() < 0xfff,
            "one /16 of 240.0.0.0/4 and one of 3fff::/20 each"
        );
        let mut text = String::new();
        Networks::home(5, 1, 77).push_address(&mut text);
        assert!(text.starts_with("240."), "{text}");
        text.clear();
        Networks::home_v6(5, 1, 77, 3).push_prefix(&mut text);
        assert!(text.starts_with("3fff:3e:") && text.ends_with("::/48"), "{text}");
    }

    #[test]
    fn a_site_tells_its_country_and_class() {
        let networks = Networks::new(1000, true);
        let berlin = networks.fragment(Networks::home(5, 1, 77));
        assert!(berlin.contains("\"country\":\"DE\",\"city\":\"Berlin\",\"latitude\":52.5200"));
        assert!(berlin.contains("\"network\":\"residential\""), "{berlin}");
        assert!(networks.fragment(Networks::tor(3)).contains("\"network\":\"tor\""));
        assert!(networks.fragment(Networks::campus(1, 0)).contains("Example University 1"));
        assert_eq!(networks.fragment(Place::NONE), "");
    }
}
