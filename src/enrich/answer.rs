//! What data files say of an address.

/// Where an address is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Place {
    /// ISO 3166-1 alpha-2, upper case.
    pub(super) country: Option<Box<str>>,
    pub(super) city: Option<Box<str>>,
    /// Degrees north and east.
    pub(super) position: Option<(f64, f64)>,
    /// Radius around the position in which the address is likely to be.
    pub(super) accuracy_km: Option<f64>,
}

/// Who runs the network of an address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
pub(super) struct Operator {
    pub(super) asn: Option<u32>,
    pub(super) organisation: Option<Box<str>>,
}

/// What a record says; data files of any layout end up here.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Answer {
    pub(super) place: Option<Place>,
    pub(super) operator: Option<Operator>,
}

/// Longer names are cut: no city and no company needs more.
const NAME_BYTES_MAX: usize = 256;
/// Half the circumference of the earth.
const ACCURACY_KM_MAX: f64 = 20_040.0;

/// The values of one record, before they are checked.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) country: Option<String>,
    pub(super) city: Option<String>,
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
    pub(super) accuracy_km: Option<f64>,
    pub(super) asn: Option<u32>,
    pub(super) organisation: Option<String>,
}

impl Draft {
    /// What is sound of it: impossible positions and codes are as good as none.
    pub(super) fn finish(self) -> Answer {
        let position = match (self.latitude, self.longitude) {
            (Some(lat), Some(lon)) if lat.abs() <= 90.0 && lon.abs() <= 180.0 => Some((lat, lon)),
            _ => None,
        };
        let radius = self.accuracy_km.filter(|km| (0.0..=ACCURACY_KM_MAX).contains(km));
        let place = Place {
            country: self.country.and_then(|code| country(&code)),
            city: self.city.and_then(|text| name(&text)),
            position,
            accuracy_km: radius.filter(|_| position.is_some()),
        };
        let operator = Operator {
            asn: self.asn.filter(|asn| *asn != 0),
            organisation: self.organisation.and_then(|text| name(&text)),
        };
        Answer {
            place: (place != Place::default()).then_some(place),
            operator: (operator != Operator::default()).then_some(operator),
        }
    }
}

/// A country's code. `ZZ` (unknown) is none.
fn country(code: &str) -> Option<Box<str>> {
    let code = code.trim();
    let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_code && !code.eq_ignore_ascii_case("zz")).then(|| code.to_ascii_uppercase().into())
}

fn name(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let text = text.get(..text.floor_char_boundary(NAME_BYTES_MAX))?.trim_end();
    (!text.is_empty() && text != "-").then(|| text.into())
}

/// `64500` or `AS64500`.
pub(super) fn asn(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = match text.get(..2) {
        Some(two) if two.eq_ignore_ascii_case("as") => text.get(2..)?,
        _ => text,
    };
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_impossible_is_left_out() {
        let draft = |latitude, longitude, accuracy_km| Draft {
            country: Some("zz".to_owned()),
            city: Some(" - ".to_owned()),
            latitude: Some(latitude),
            longitude: Some(longitude),
            accuracy_km: Some(accuracy_km),
            asn: Some(0),
            organisation: Some("é".repeat(200)),
        };
        let good = draft(-90.0, 180.0, 5.0).finish();
        let place = good.place.unwrap();
        assert_eq!((place.position, place.accuracy_km), (Some((-90.0, 180.0)), Some(5.0)));
        assert_eq!((place.country, place.city), (None, None));
        let operator = good.operator.unwrap();
        assert_eq!((operator.asn, operator.organisation.unwrap().len()), (None, 256));
        for (lat, lon, km) in [(90.1, 0.0, 1.0), (0.0, -180.1, 1.0), (f64::NAN, 0.0, 1.0)] {
            assert_eq!(draft(lat, lon, km).finish().place, None);
        }
        for km in [-1.0, 30_000.0, f64::INFINITY, f64::NAN] {
            let place = draft(0.0, 0.0, km).finish().place.unwrap();
            assert_eq!(place.accuracy_km, None, "{km}");
        }
    }

    #[test]
    fn numbers_of_systems_are_read() {
        assert_eq!(asn(" AS64500 "), Some(64_500));
        assert_eq!(asn("64500"), Some(64_500));
        assert_eq!(asn("ASx"), None);
        assert_eq!(asn(""), None);
    }
}
