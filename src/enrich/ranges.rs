//! Ranges of addresses with a value each: where they overlap one wins, and a look-up is one search.

use std::collections::BinaryHeap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::address::inner;

/// An end of a range.
trait Point: Copy + Ord {
    fn before(self) -> Self;
    /// `None` behind the last address.
    fn after(self) -> Option<Self>;
}

impl Point for u32 {
    fn before(self) -> Self {
        self.saturating_sub(1)
    }
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Point for u128 {
    fn before(self) -> Self {
        self.saturating_sub(1)
    }
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// First and last address, both of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

impl Span {
    /// From first to last; `None` when they are of two families or the wrong way round.
    pub(super) fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        match (fold(first), fold(last)) {
            (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
                Some(Self::V4(first.into(), last.into()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
                Some(Self::V6(first.into(), last.into()))
            }
            _ => None,
        }
    }

    /// An address, `address/bits` or `first-last`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some((first, last)) = text.split_once('-') {
            return Self::new(first.trim().parse().ok()?, last.trim().parse().ok()?);
        }
        if text.contains('/') {
            let net: IpNet = text.parse().ok()?;
            return Self::new(net.network(), net.broadcast());
        }
        let address: IpAddr = text.parse().ok()?;
        Self::new(address, address)
    }

    /// How many addresses it has, less one.
    pub(super) fn width(self) -> u128 {
        match self {
            Self::V4(first, last) => u128::from(last - first),
            Self::V6(first, last) => last - first,
        }
    }
}

/// As addresses of clients are folded.
fn fold(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => inner(v6).map_or(address, IpAddr::V4),
        v4 => v4,
    }
}

/// A range in the making: of overlapping ones that with the lowest rank wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item<P> {
    first: P,
    last: P,
    rank: u128,
    value: u32,
}

/// An item whose beginning was passed; the best is the greatest, as the heap wants it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Active<P> {
    rank: std::cmp::Reverse<(u128, u32)>,
    last: P,
}

/// Ranges that do not overlap, in order.
#[derive(Debug)]
struct Table<P> {
    firsts: Vec<P>,
    lasts: Vec<P>,
    values: Vec<u32>,
}

impl<P: Point> Table<P> {
    fn new(mut items: Vec<Item<P>>) -> Self {
        items.sort_by_key(|item| item.first);
        let mut table = Self { firsts: Vec::new(), lasts: Vec::new(), values: Vec::new() };
        let mut active: BinaryHeap<Active<P>> = BinaryHeap::new();
        let mut items = items.into_iter().peekable();
        let mut at = None;
        loop {
            while at.is_some() && active.peek().is_some_and(|best| Some(best.last) < at) {
                active.pop();
            }
            if active.is_empty() {
                let Some(next) = items.peek() else { break };
                at = Some(next.first);
            }
            let Some(first) = at else { break };
            while let Some(item) = items.next_if(|item| item.first <= first) {
                let rank = std::cmp::Reverse((item.rank, item.value));
                active.push(Active { rank, last: item.last });
            }
            // What the pushed ones have hidden may be over already.
            let Some(best) = active.peek().filter(|best| best.last >= first) else { continue };
            let next = items.peek().filter(|item| item.first <= best.last);
            let last = next.map_or(best.last, |item| item.first.before());
            table.push(first, last, best.rank.0.1);
            at = last.after();
            if at.is_none() {
                break;
            }
        }
        table
    }

    /// Appends a range, or lengthens the last one when it goes on with the same value.
    fn push(&mut self, first: P, last: P, value: u32) {
        let adjacent = self.lasts.last().and_then(|end| end.after()) == Some(first);
        if let (true, Some(end), Some(true)) =
            (adjacent, self.lasts.last_mut(), self.values.last().map(|own| *own == value))
        {
            *end = last;
            return;
        }
        self.firsts.push(first);
        self.lasts.push(last);
        self.values.push(value);
    }

    fn find(&self, point: P) -> Option<u32> {
        let index = self.firsts.partition_point(|first| *first <= point).checked_sub(1)?;
        (*self.lasts.get(index)? >= point).then(|| self.values[index])
    }
}

/// Collects ranges.
#[derive(Debug, Default)]
pub(super) struct RangesBuilder {
    v4: Vec<Item<u32>>,
    v6: Vec<Item<u128>>,
}

impl RangesBuilder {
    /// Adds a range. Where ranges overlap the lowest rank wins, then the lowest value.
    pub(super) fn push(&mut self, span: Span, rank: u128, value: u32) {
        match span {
            Span::V4(first, last) => self.v4.push(Item { first, last, rank, value }),
            Span::V6(first, last) => self.v6.push(Item { first, last, rank, value }),
        }
    }

    /// Number of ranges so far.
    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(super) fn build(self) -> Ranges {
        Ranges { v4: Table::new(self.v4), v6: Table::new(self.v6) }
    }
}

/// A value for each address of some ranges: 12 bytes a range of IPv4, 36 of IPv6.
#[derive(Debug)]
pub(super) struct Ranges {
    v4: Table<u32>,
    v6: Table<u128>,
}

impl Ranges {
    /// The value of an address.
    pub(super) fn find(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.into()),
            IpAddr::V6(v6) => self.v6.find(v6.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_read() {
        let cases = [
            ("192.0.2.1", Some(Span::V4(0xC000_0201, 0xC000_0201))),
            (" 192.0.2.9/24 ", Some(Span::V4(0xC000_0200, 0xC000_02FF))),
            ("192.0.2.1 - 192.0.2.3", Some(Span::V4(0xC000_0201, 0xC000_0203))),
            ("::ffff:192.0.2.0/120", Some(Span::V4(0xC000_0200, 0xC000_02FF))),
            ("0.0.0.0/0", Some(Span::V4(0, u32::MAX))),
            ("::/0", Some(Span::V6(0, u128::MAX))),
            ("192.0.2.3-192.0.2.1", None),
            ("192.0.2.3-2001:db8::1", None),
            ("192.0.2.0/33", None),
            ("example.org", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Span::parse(text), expected, "{text}");
        }
    }

    /// The answer by a look at all ranges.
    fn slow(items: &[(u8, u8, u8, u32)], point: u8) -> Option<u32> {
        let inside = items.iter().filter(|(first, last, ..)| (*first..=*last).contains(&point));
        inside.map(|(_, _, rank, value)| (*rank, *value)).min().map(|(_, value)| value)
    }

    proptest! {
        #[test]
        fn of_overlapping_ranges_the_lowest_rank_wins(
            items in prop::collection::vec((any::<u8>(), any::<u8>(), 0u8..4, 0u32..6), 0..24),
        ) {
            let items: Vec<_> =
                items.into_iter().map(|(a, b, r, v)| (a.min(b), a.max(b), r, v)).collect();
            let mut builder = RangesBuilder::default();
            for (first, last, rank, value) in &items {
                let rank = u128::from(*rank);
                // The ends of both families are reached, too.
                let (low, high) = (u32::from(*first) << 24, (u32::from(*last) << 24) | 0xFF_FFFF);
                builder.push(Span::V4(low, high), rank, *value);
                let high = (u128::from(*last) << 120) | (u128::MAX >> 8);
                builder.push(Span::V6(u128::from(*first) << 120, high), rank, *value);
            }
            let ranges = builder.build();
            prop_assert!(ranges.v4.firsts.windows(2).all(|two| two[0] < two[1]));
            for point in 0..=u8::MAX {
                let expected = slow(&items, point);
                for low in [0, 0xFF_FFFF] {
                    let v4 = std::net::Ipv4Addr::from((u32::from(point) << 24) | low);
                    prop_assert_eq!(ranges.find(v4.into()), expected);
                }
                let v6 = std::net::Ipv6Addr::from(u128::from(point) << 120);
                prop_assert_eq!(ranges.find(v6.into()), expected);
            }
        }
    }
}
