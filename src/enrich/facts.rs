//! Everything that is known of one address.

use super::address::Address;
use super::answer::{Operator, Place};
use super::networks::{NetworkClass, Networks};
use super::source::Sources;

/// What is known of an address. A pure function of address and data files.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) prefix: Box<str>,
    pub(super) is_public: bool,
    pub(super) place: Option<Place>,
    pub(super) operator: Option<Operator>,
    /// What lists of addresses say.
    pub(super) class: Option<NetworkClass>,
    /// What lists of systems say of the operator.
    pub(super) operator_class: Option<NetworkClass>,
}

impl Facts {
    /// Looks an address up.
    pub(super) fn find(
        address: Address,
        places: &mut Sources,
        operators: &mut Sources,
        networks: Option<&Networks>,
        scratch: &mut String,
    ) -> Self {
        address.write_prefix(scratch);
        let is_public = address.is_public();
        let located = address.located();
        let place =
            is_public.then(|| places.find(located, |answer| answer.place.clone())).flatten();
        let operator =
            is_public.then(|| operators.find(located, |answer| answer.operator.clone())).flatten();
        let class = networks
            .and_then(|lists| lists.of_address(address.own).or_else(|| lists.of_address(located)));
        let asn = operator.as_ref().and_then(|operator| operator.asn);
        let operator_class =
            networks.zip(asn).and_then(|(lists, asn)| lists.of_system(i64::from(asn)));
        Self { prefix: scratch.as_str().into(), is_public, place, operator, class, operator_class }
    }

    pub(super) fn country(&self) -> Option<&str> {
        self.place.as_ref()?.country.as_deref()
    }

    pub(super) fn city(&self) -> Option<&str> {
        self.place.as_ref()?.city.as_deref()
    }

    pub(super) fn latitude(&self) -> Option<f64> {
        Some(self.place.as_ref()?.position?.0)
    }

    pub(super) fn longitude(&self) -> Option<f64> {
        Some(self.place.as_ref()?.position?.1)
    }

    pub(super) fn accuracy_km(&self) -> Option<f64> {
        self.place.as_ref()?.accuracy_km
    }

    pub(super) fn asn(&self) -> Option<i64> {
        self.operator.as_ref()?.asn.map(i64::from)
    }

    pub(super) fn organisation(&self) -> Option<&str> {
        self.operator.as_ref()?.organisation.as_deref()
    }
}

/// The class of a network by its address and by its operator: the one that comes first.
pub(super) fn first_class(
    address: Option<NetworkClass>,
    operator: Option<NetworkClass>,
) -> Option<NetworkClass> {
    address.into_iter().chain(operator).min()
}
